/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>

#include "basic/macro.h"
#include "config/access-value.h"

#define ACCOUNT_NAME_MAX 256 /* bytes of the name of a user or a group, as Linux has it */

static int fail(const char **ret_why, const char *why)
{
        *ret_why = why;
        return -EINVAL;
}

/* Digits alone, up to max. */
static bool parse_number(const char *text, size_t len, uint32_t max, uint32_t *ret)
{
        uint64_t n = 0;

        for (size_t i = 0; i < len; i++) {
                if (text[i] < '0' || text[i] > '9')
                        return false;
                n = n * 10 + (uint64_t)(text[i] - '0');
                if (n > max)
                        return false;
        }
        *ret = (uint32_t)n;
        return len > 0;
}

/* However large. */
static bool is_number(const char *text, size_t len)
{
        for (size_t i = 0; i < len; i++)
                if (text[i] < '0' || text[i] > '9')
                        return false;
        return len > 0;
}

/* --- Hosts --- */

/* Who writes 10.0.0.1/8 may mean either: so it is asked, not guessed. */
static bool has_bits_beyond(const struct access_prefix *prefix)
{
        for (unsigned i = prefix->n_bits; i < prefix->family_bytes * 8u; i++)
                if (prefix->address[i / 8] >> (7 - i % 8) & 1)
                        return true;
        return false;
}

int access_parse_prefix(const char *text, size_t len, struct access_prefix *ret,
                        const char **ret_why)
{
        const char *slash = len ? memchr(text, '/', len) : NULL;
        size_t address_len = slash ? (size_t)(slash - text) : len;
        struct access_prefix prefix = {0};
        char address[INET6_ADDRSTRLEN];
        uint32_t n_bits;

        if (address_len >= sizeof(address))
                return fail(ret_why, "no IPv4 or IPv6 address");
        memcpy(address, text, address_len);
        address[address_len] = '\0';
        if (inet_pton(AF_INET, address, prefix.address) == 1)
                prefix.family_bytes = 4;
        else if (inet_pton(AF_INET6, address, prefix.address) == 1)
                prefix.family_bytes = 16;
        else
                return fail(ret_why, "no IPv4 or IPv6 address");
        n_bits = prefix.family_bytes * 8u;
        if (slash && !parse_number(slash + 1, len - address_len - 1, n_bits, &n_bits))
                return fail(ret_why, "the length of the prefix is no number within the address");
        prefix.n_bits = (uint8_t)n_bits;
        if (has_bits_beyond(&prefix))
                return fail(ret_why, "the address has bits beyond the length of its prefix");
        *ret = prefix;
        return 0;
}

/* --- Users and groups --- */

/* uid_t and gid_t are the same type, and -1 is none of them. */
struct id_kind {
        int (*find)(const char *name, uint32_t *ret, void *userdata);
        const char *no_number;
        const char *no_name;
};

static int find_name(const struct id_kind *kind, const char *text, size_t len, void *userdata,
                     uint32_t *ret)
{
        char name[ACCOUNT_NAME_MAX + 1];

        if (len == 0 || len > ACCOUNT_NAME_MAX)
                return -ENOENT;
        memcpy(name, text, len);
        name[len] = '\0';
        return kind->find(name, ret, userdata);
}

static int parse_id(const struct id_kind *kind, const char *text, size_t len, void *userdata,
                    struct access_word *ret, const char **ret_why)
{
        struct access_word word = {0};
        int r = 0;

        if (!is_number(text, len))
                r = find_name(kind, text, len, userdata, &word.id);
        else if (!parse_number(text, len, UINT32_MAX - 1, &word.id))
                return fail(ret_why, kind->no_number);
        if (r == -ENOENT)
                return fail(ret_why, kind->no_name);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return fail(ret_why, strerrordesc_np(-r));
        *ret = word;
        return 0;
}

int access_parse_user(const char *text, size_t len, const struct access_resolver *resolver,
                      struct access_word *ret, const char **ret_why)
{
        const struct id_kind kind = {
                .find = resolver->find_user,
                .no_number = "no number of a user",
                .no_name = "no such user; names are looked up when the rules are loaded",
        };

        if (len != 1 || *text != '*')
                return parse_id(&kind, text, len, resolver->userdata, ret, ret_why);
        *ret = (struct access_word){.any = true};
        return 0;
}

int access_parse_group(const char *text, size_t len, const struct access_resolver *resolver,
                       struct access_word *ret, const char **ret_why)
{
        const struct id_kind kind = {
                .find = resolver->find_group,
                .no_number = "no number of a group",
                .no_name = "no such group; names are looked up when the rules are loaded",
        };

        return parse_id(&kind, text, len, resolver->userdata, ret, ret_why);
}
