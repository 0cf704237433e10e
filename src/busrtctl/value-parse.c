/* SPDX-License-Identifier: Apache-2.0 */
/* JSON, by json-c, and typed words to MessagePack, by msgpack-c. */
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>

#include <json-c/json.h>
#include <msgpack.h>

#include "basic/macro.h"
#include "basic/utf8.h"
#include "basic/word.h"
#include "busrtctl/value.h"

static int refuse(char **ret_error, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int refuse(char **ret_error, const char *format, ...)
{
        va_list args;
        int n;

        free(*ret_error);
        va_start(args, format);
        n = vasprintf(ret_error, format, args);
        va_end(args);
        if (n < 0)
                *ret_error = NULL;
        return n < 0 ? -ENOMEM : -EBADMSG;
}

/* --- Packing: all that can fail is memory, which text remembers --- */

static int write_text(void *text, const char *data, size_t len)
{
        text_add(text, data, len);
        return 0;
}

static msgpack_packer packer_for(struct text *out)
{
        msgpack_packer pk;

        msgpack_packer_init(&pk, out, write_text);
        return pk;
}

static void pack_text(msgpack_packer *pk, const char *text, size_t len)
{
        msgpack_pack_str(pk, len);
        msgpack_pack_str_body(pk, text, len);
}

/* --- JSON --- */

static int pack_json(msgpack_packer *pk, json_object *value, char **ret_error);

static int pack_integer(msgpack_packer *pk, json_object *value)
{
        int64_t n = json_object_get_int64(value);

        /* Above that range it gives the largest of it. */
        return n == INT64_MAX ? msgpack_pack_uint64(pk, json_object_get_uint64(value))
                              : msgpack_pack_int64(pk, n);
}

static int pack_array(msgpack_packer *pk, json_object *array, char **ret_error)
{
        size_t n = json_object_array_length(array);
        int r = msgpack_pack_array(pk, n);

        for (size_t i = 0; r >= 0 && i < n; i++)
                r = pack_json(pk, json_object_array_get_idx(array, i), ret_error);
        return r;
}

static int pack_map(msgpack_packer *pk, json_object *object, char **ret_error)
{
        int r = msgpack_pack_map(pk, (size_t)json_object_object_length(object));

        json_object_object_foreach(object, key, value)
        {
                pack_text(pk, key, strlen(key));
                r = r < 0 ? r : pack_json(pk, value, ret_error);
        }
        return r;
}

/* 1: {"$base64": TEXT} or {"$ext": TYPE, "$base64": TEXT} and nothing else. *ret_type: INT_MIN for
 * the first. */
static bool is_bytes(json_object *object, json_object **ret_base64, int64_t *ret_type)
{
        json_object *type = NULL;
        bool has_type = json_object_object_get_ex(object, "$ext", &type);

        if (json_object_object_length(object) != 1 + has_type ||
            !json_object_object_get_ex(object, "$base64", ret_base64) ||
            !json_object_is_type(*ret_base64, json_type_string) ||
            (has_type && !json_object_is_type(type, json_type_int)))
                return false;
        *ret_type = has_type ? json_object_get_int64(type) : INT_MIN;
        return true;
}

static int pack_bytes(msgpack_packer *pk, json_object *base64, int64_t type, char **ret_error)
{
        _cleanup_(text_done) struct text bytes = {0};

        if (type != INT_MIN && (type < INT8_MIN || type > INT8_MAX))
                return refuse(ret_error, "\"$ext\" is not a type from -128 to 127");
        if (!text_add_from_base64(&bytes, json_object_get_string(base64),
                                  (size_t)json_object_get_string_len(base64)))
                return refuse(ret_error, "\"$base64\" is not base64");
        if (bytes.failed)
                return -ENOMEM;
        if (type == INT_MIN) {
                msgpack_pack_bin(pk, bytes.len);
                return msgpack_pack_bin_body(pk, bytes.data, bytes.len);
        }
        msgpack_pack_ext(pk, bytes.len, (int8_t)type);
        return msgpack_pack_ext_body(pk, bytes.data, bytes.len);
}

static int pack_json(msgpack_packer *pk, json_object *value, char **ret_error)
{
        json_object *base64;
        int64_t type;

        switch (json_object_get_type(value)) {
        case json_type_boolean:
                return json_object_get_boolean(value) ? msgpack_pack_true(pk)
                                                      : msgpack_pack_false(pk);
        case json_type_int:
                return pack_integer(pk, value);
        case json_type_double:
                return msgpack_pack_double(pk, json_object_get_double(value));
        case json_type_string:
                pack_text(pk, json_object_get_string(value),
                          (size_t)json_object_get_string_len(value));
                return 0;
        case json_type_array:
                return pack_array(pk, value, ret_error);
        case json_type_object:
                if (is_bytes(value, &base64, &type))
                        return pack_bytes(pk, base64, type, ret_error);
                return pack_map(pk, value, ret_error);
        case json_type_null:
                break;
        }
        return msgpack_pack_nil(pk);
}

/* p is at the first byte of a number. */
static bool is_integer_too_large(const char *p)
{
        const char *end = p + strspn(p, "-0123456789");

        if (*end == '.' || *end == 'e' || *end == 'E')
                return false;
        errno = 0;
        if (*p == '-')
                (void)strtoll(p, NULL, 10);
        else
                (void)strtoull(p, NULL, 10);
        return errno == ERANGE;
}

/* Past the string that p is inside of. */
static const char *skip_string(const char *p, bool *ret_nul)
{
        *ret_nul = false;
        for (; *p && *p != '"'; p++)
                if (*p == '\\') {
                        *ret_nul = *ret_nul || strncmp(p + 1, "u0000", 5) == 0;
                        p++;
                }
        return *p ? p + 1 : p;
}

/* What json-c would alter without a word: its keys are C strings, and a number that is too large
 * becomes the largest. Well-formed JSON. NULL: nothing. */
static const char *find_fault(const char *p)
{
        bool nul;

        while (*p)
                if (*p == '"') {
                        p = skip_string(p + 1, &nul);
                        if (nul && p[strspn(p, " \t\r\n")] == ':')
                                return "a key holds a NUL";
                } else if (*p == '-' || (*p >= '0' && *p <= '9')) {
                        if (is_integer_too_large(p))
                                return "an integer does not fit into 64 bits";
                        p += strspn(p, "+-.eE0123456789");
                } else {
                        p++;
                }
        return NULL;
}

static int parse(const char *json, size_t len, json_object **ret, char **ret_error)
{
        json_tokener *tokener = json_tokener_new_ex(VALUE_DEPTH_MAX + 1);
        enum json_tokener_error error;
        int r = 0;

        if (!tokener)
                return -ENOMEM;
        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
        /* With its NUL: a number ends only there. */
        *ret = json_tokener_parse_ex(tokener, json, (int)len + 1);
        error = json_tokener_get_error(tokener);
        if (error == json_tokener_continue || error == json_tokener_error_parse_eof)
                r = refuse(ret_error, "it ends too early");
        else if (error == json_tokener_error_depth)
                r = refuse(ret_error, "it is nested deeper than %d levels", VALUE_DEPTH_MAX);
        else if (error != json_tokener_success)
                r = refuse(ret_error, "at byte %zu: %s", json_tokener_get_parse_end(tokener) + 1,
                           json_tokener_error_desc(error));
        json_tokener_free(tokener);
        return r;
}

int value_from_json(struct text *out, const char *json, size_t len, char **ret_error)
{
        _cleanup_free_ char *copy = strndup(json, len);
        msgpack_packer pk = packer_for(out);
        const char *fault = NULL;
        json_object *value = NULL;
        size_t before = out->len;
        int r;

        if (!copy)
                return -ENOMEM;
        if (len >= INT_MAX || strlen(copy) < len)
                return refuse(ret_error, len >= INT_MAX ? "it is too long" : "it holds a NUL");
        r = parse(copy, len, &value, ret_error);
        if (r >= 0)
                fault = find_fault(copy);
        if (fault)
                r = refuse(ret_error, "%s", fault);
        if (r >= 0)
                r = pack_json(&pk, value, ret_error);
        json_object_put(value);
        if (r < 0)
                out->len = before;
        return r < 0 ? r : out->failed ? -ENOMEM : 0;
}

/* --- Words --- */

static size_t key_length(const char *word)
{
        return strcspn(word, "=");
}

static bool same_key(const char *a, const char *b)
{
        return key_length(a) == key_length(b) && memcmp(a, b, key_length(a)) == 0;
}

/* Of the words from first on: the last with the key of the first. */
static const char *last_with_key(char **words, size_t first, size_t n)
{
        size_t last = first;

        for (size_t i = first + 1; i < n; i++)
                if (same_key(words[first], words[i]))
                        last = i;
        return words[last];
}

static bool is_repeated(char **words, size_t i)
{
        for (size_t j = 0; j < i; j++)
                if (same_key(words[j], words[i]))
                        return true;
        return false;
}

static int pack_word(msgpack_packer *pk, const char *text)
{
        struct word word;
        int r = word_parse(text, strlen(text), &word);

        if (r < 0)
                return r;
        switch (word.kind) {
        case WORD_BOOLEAN:
                return word.boolean ? msgpack_pack_true(pk) : msgpack_pack_false(pk);
        case WORD_INTEGER:
                return msgpack_pack_int64(pk, word.integer);
        case WORD_NUMBER:
                return msgpack_pack_double(pk, word.number);
        case WORD_TEXT:
                break;
        }
        pack_text(pk, text, strlen(text));
        return 0;
}

int value_from_words(struct text *out, char **words, size_t n, char **ret_error)
{
        msgpack_packer pk = packer_for(out);
        size_t n_keys = 0;
        int r = 0;

        for (size_t i = 0; i < n; i++) {
                if (!strchr(words[i], '='))
                        return refuse(ret_error, "\"%s\" is not KEY=VALUE", words[i]);
                if (!utf8_is_valid(words[i], strlen(words[i])))
                        return refuse(ret_error, "\"%s\" is not UTF-8", words[i]);
                n_keys += !is_repeated(words, i);
        }
        msgpack_pack_map(&pk, n_keys);
        for (size_t i = 0; r >= 0 && i < n; i++) {
                if (is_repeated(words, i))
                        continue;
                pack_text(&pk, words[i], key_length(words[i]));
                r = pack_word(&pk, strchr(last_with_key(words, i, n), '=') + 1);
        }
        return r < 0 ? r : out->failed ? -ENOMEM : 0;
}
