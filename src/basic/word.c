/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "basic/macro.h"
#include "basic/word.h"

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

static size_t skip_sign(const char *text, size_t len)
{
        return len > 0 && (text[0] == '+' || text[0] == '-');
}

/* [sign] digits, within 64 bits. */
static bool parse_integer(const char *text, size_t len, int64_t *ret)
{
        size_t i = skip_sign(text, len);
        bool negative = i > 0 && text[0] == '-';
        int64_t value = 0;

        if (i == len)
                return false;
        for (; i < len; i++) {
                int digit = text[i] - '0';

                if (!is_digit(text[i]) || __builtin_mul_overflow(value, 10, &value) ||
                    __builtin_add_overflow(value, negative ? -digit : digit, &value))
                        return false;
        }
        *ret = value;
        return true;
}

static size_t skip_digits(const char *text, size_t len, size_t i)
{
        while (i < len && is_digit(text[i]))
                i++;
        return i;
}

/* [sign] digits [. digits] [e [sign] digits], one digit at least before the exponent. */
static bool looks_like_decimal(const char *text, size_t len)
{
        size_t start = skip_sign(text, len), i = skip_digits(text, len, start), digits = i - start;

        if (i < len && text[i] == '.') {
                start = ++i;
                i = skip_digits(text, len, i);
                digits += i - start;
        }
        if (digits == 0)
                return false;
        if (i < len && (text[i] == 'e' || text[i] == 'E')) {
                i++;
                i += skip_sign(text + i, len - i);
                start = i;
                i = skip_digits(text, len, i);
                if (i == start)
                        return false;
        }
        return i == len;
}

static bool is_word(const char *text, size_t len, const char *word)
{
        return strlen(word) == len && strncasecmp(text, word, len) == 0;
}

/* inf, infinity, nan in any case and with a sign. */
static bool parse_special(const char *text, size_t len, double *ret)
{
        size_t i = skip_sign(text, len);
        double sign = i > 0 && text[0] == '-' ? -1.0 : 1.0;

        if (is_word(text + i, len - i, "inf") || is_word(text + i, len - i, "infinity"))
                *ret = copysign((double)INFINITY, sign);
        else if (is_word(text + i, len - i, "nan"))
                *ret = copysign((double)NAN, sign);
        else
                return false;
        return true;
}

/* 1 and a number, 0: it is none, -ENOMEM. */
static int parse_double(const char *text, size_t len, double *ret)
{
        _cleanup_free_ char *copy = NULL;

        if (parse_special(text, len, ret))
                return 1;
        if (!looks_like_decimal(text, len))
                return 0;
        copy = strndup(text, len);
        if (!copy)
                return -ENOMEM;
        *ret = strtod(copy, NULL);
        return 1;
}

int word_parse(const char *text, size_t len, struct word *ret)
{
        struct word word = {.kind = WORD_TEXT};
        int r;

        if (len == 4 && memcmp(text, "true", 4) == 0) {
                word = (struct word){.kind = WORD_BOOLEAN, .boolean = true};
        } else if (len == 5 && memcmp(text, "false", 5) == 0) {
                word.kind = WORD_BOOLEAN;
        } else if (parse_integer(text, len, &word.integer)) {
                word.kind = WORD_INTEGER;
        } else {
                r = parse_double(text, len, &word.number);
                if (r < 0)
                        return r;
                if (r > 0)
                        word.kind = WORD_NUMBER;
        }
        *ret = word;
        return 0;
}
