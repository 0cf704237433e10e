/* SPDX-License-Identifier: Apache-2.0 */
#include <strings.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "config/config.h"

static const char blanks[] = " \t";

static const char *skip_blanks(const char *at)
{
        return at + strspn(at, blanks);
}

int config_next_word(const char **at, const char **ret, size_t *ret_len)
{
        const char *start = skip_blanks(*at), *end;

        if (*start == '\0')
                return 0;
        if (*start == '"' || *start == '\'') {
                end = strchr(start + 1, *start);
                if (!end || (end[1] && !strchr(blanks, end[1])))
                        return -EINVAL;
                start++;
                *at = end + 1;
        } else {
                *at = end = start + strcspn(start, blanks);
        }
        *ret = start;
        *ret_len = (size_t)(end - start);
        return 1;
}

int config_parse_boolean(const char *text, bool *ret)
{
        static const char *const yes[] = {"yes", "true", "on", "1"};
        static const char *const no[] = {"no", "false", "off", "0"};

        for (size_t i = 0; i < ARRAY_SIZE(yes); i++)
                if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
                        *ret = strcasecmp(text, yes[i]) == 0;
                        return 0;
                }
        return -EINVAL;
}

static const struct {
        const char *name;
        uint64_t nsec;
} units[] = {
        {"us", NSEC_PER_USEC},       {"ms", NSEC_PER_MSEC},      {"s", NSEC_PER_SEC},
        {"m", 60 * NSEC_PER_SEC},    {"min", 60 * NSEC_PER_SEC}, {"h", 3600 * NSEC_PER_SEC},
        {"d", 86400 * NSEC_PER_SEC},
};

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

/* Letters behind a number; none at all leaves *unit as it is. */
static int parse_unit(const char **at, uint64_t *unit)
{
        const char *start = *at;
        size_t len = 0;

        while ((start[len] | 0x20) >= 'a' && (start[len] | 0x20) <= 'z')
                len++;
        *at += len;
        if (len == 0)
                return 0;
        for (size_t i = 0; i < ARRAY_SIZE(units); i++)
                if (strlen(units[i].name) == len && memcmp(units[i].name, start, len) == 0) {
                        *unit = units[i].nsec;
                        return 0;
                }
        return -EINVAL;
}

/* One number with its unit. In whole numbers: no rounding makes 0.1 something else. */
static int parse_part(const char **at, uint64_t unit, uint64_t *ret)
{
        uint64_t whole = 0, fraction = 0, scale = 1, nsec;
        int r;

        if (!is_digit(**at))
                return -EINVAL;
        for (; is_digit(**at); ++*at)
                if (__builtin_mul_overflow(whole, 10, &whole) ||
                    __builtin_add_overflow(whole, (uint64_t)(**at - '0'), &whole))
                        return -ERANGE;
        if (**at == '.')
                for (++*at; is_digit(**at) && scale < 100000; ++*at, scale *= 10)
                        fraction = fraction * 10 + (uint64_t)(**at - '0');
        if (is_digit(**at))
                return -EINVAL;
        *at = skip_blanks(*at);
        r = parse_unit(at, &unit);
        if (r < 0)
                return r;
        if (__builtin_mul_overflow(whole, unit, &nsec) ||
            __builtin_add_overflow(nsec, fraction * unit / scale, ret))
                return -ERANGE;
        return 0;
}

int config_parse_span(const char *text, uint64_t unit, uint64_t *ret)
{
        uint64_t sum = 0, part = 0;
        const char *at = skip_blanks(text);
        int r;

        do {
                r = parse_part(&at, unit, &part);
                if (r < 0)
                        return r;
                if (__builtin_add_overflow(sum, part, &sum))
                        return -ERANGE;
                at = skip_blanks(at);
        } while (*at);
        *ret = sum;
        return 0;
}
