/* SPDX-License-Identifier: Apache-2.0 */
/* The words are taken apart first, with a table that finds repeated keys, and written as one map
 * then. */
#include <msgpack.h>

#include "basic/macro.h"
#include "basic/table.h"
#include "basic/word.h"
#include "broker-rpc/kv.h"

struct pair {
        struct table_node node;
        const char *key, *value;
        size_t key_len, value_len;
};

struct pairs {
        struct table by_key;
        struct pair *pairs;
        size_t n;
};

static size_t count_words(const char *text, size_t len)
{
        size_t n = 0;

        for (size_t i = 0; i < len; i++)
                n += text[i] != ' ' && (i == 0 || text[i - 1] == ' ');
        return n;
}

static struct pair *pairs_find(struct pairs *p, const char *key, size_t len, uint64_t hash)
{
        struct table_node *n;

        table_foreach (n, &p->by_key, hash) {
                struct pair *pair = container_of(n, struct pair, node);

                if (pair->key_len == len && memcmp(pair->key, key, len) == 0)
                        return pair;
        }
        return NULL;
}

static int pairs_add_word(struct pairs *p, const char *word, size_t len)
{
        const char *equals = memchr(word, '=', len), *second;
        struct pair *pair;
        uint64_t hash;

        if (!equals)
                return -EINVAL;
        hash = table_hash(&p->by_key, word, (size_t)(equals - word));
        pair = pairs_find(p, word, (size_t)(equals - word), hash);
        if (!pair) {
                pair = &p->pairs[p->n++];
                pair->key = word;
                pair->key_len = (size_t)(equals - word);
                table_insert(&p->by_key, &pair->node, hash);
        }
        pair->value = equals + 1;
        pair->value_len = (size_t)(word + len - pair->value);
        second = memchr(pair->value, '=', pair->value_len);
        if (second)
                pair->value_len = (size_t)(second - pair->value);
        return 0;
}

static int pairs_parse(struct pairs *p, const char *text, size_t len)
{
        const char *end = text + len;
        int r = 0;

        p->pairs = calloc(count_words(text, len) + 1, sizeof(*p->pairs));
        if (!p->pairs)
                return -ENOMEM;
        while (text < end && r >= 0) {
                const char *blank = memchr(text, ' ', (size_t)(end - text));
                size_t n = (size_t)((blank ? blank : end) - text);

                if (n > 0)
                        r = pairs_add_word(p, text, n);
                text += n + 1;
        }
        return r;
}

static void pairs_done(struct pairs *p)
{
        table_done(&p->by_key);
        free(p->pairs);
}

static int pack_text(msgpack_packer *pk, const char *text, size_t len)
{
        int r = msgpack_pack_str(pk, len);

        return r < 0 ? r : msgpack_pack_str_body(pk, text, len);
}

static int pack_value(msgpack_packer *pk, const char *text, size_t len)
{
        struct word word;
        int r = word_parse(text, len, &word);

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
        return pack_text(pk, text, len);
}

/* The packer fails only for want of memory. */
static int pairs_pack(const struct pairs *p, msgpack_sbuffer *buffer)
{
        msgpack_packer pk;
        int r;

        msgpack_packer_init(&pk, buffer, msgpack_sbuffer_write);
        r = msgpack_pack_map(&pk, p->n);
        for (size_t i = 0; r >= 0 && i < p->n; i++) {
                r = pack_text(&pk, p->pairs[i].key, p->pairs[i].key_len);
                if (r >= 0)
                        r = pack_value(&pk, p->pairs[i].value, p->pairs[i].value_len);
        }
        return r < 0 ? -ENOMEM : 0;
}

int kv_encode(const char *text, size_t len, uint8_t **ret, size_t *ret_len)
{
        _cleanup_(pairs_done) struct pairs pairs = {0};
        _cleanup_(msgpack_sbuffer_destroy) msgpack_sbuffer buffer;
        int r;

        msgpack_sbuffer_init(&buffer);
        table_init(&pairs.by_key);
        r = pairs_parse(&pairs, text, len);
        if (r >= 0)
                r = pairs_pack(&pairs, &buffer);
        if (r < 0)
                return r;
        *ret_len = buffer.size;
        *ret = (uint8_t *)msgpack_sbuffer_release(&buffer);
        return 0;
}
