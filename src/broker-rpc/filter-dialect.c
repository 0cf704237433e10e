/* SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include <string.h>

#include "broker-rpc/filter-dialect.h"

/* A place in the pattern. Past the end there are only NULs, which are refused within it. */
struct scan {
        const char *at, *end;
};

static char peek(const struct scan *s, size_t ahead)
{
        return (size_t)(s->end - s->at) > ahead ? s->at[ahead] : 0;
}

static bool is_one_of(char c, const char *set)
{
        return c && strchr(set, c);
}

static bool is_hex(char c)
{
        return is_one_of(c, "0123456789abcdefABCDEF");
}

/* At the character behind a backslash. */
static const char *refuse_escape(const struct scan *s)
{
        char c = peek(s, 0);

        if (is_one_of(c, "0123456789gk"))
                return "back-references and octal escapes are not supported";
        if (c == 'x' && peek(s, 1) != '{' && !(is_hex(peek(s, 1)) && is_hex(peek(s, 2))))
                return "unrecognized escape sequence";
        if (is_one_of(c, "adDfnrsStwWbBAzxpP") || (c > 0 && is_one_of(c, "\\.+*?()|[]{}^$#&-~/ ")))
                return NULL;
        return "unrecognized escape sequence";
}

/* At "(". Flags are those that mean the same in both. */
static const char *refuse_group(const struct scan *s)
{
        size_t i = 2;

        if (peek(s, 1) == '*')
                return "repetition operator missing expression";
        if (peek(s, 1) != '?')
                return NULL;
        if (is_one_of(peek(s, 2), "=!") || (peek(s, 2) == '<' && is_one_of(peek(s, 3), "=!")))
                return "look-around is not supported";
        if (peek(s, 2) == '<' || (peek(s, 2) == 'P' && peek(s, 3) == '<'))
                return NULL;
        while (is_one_of(peek(s, i), "imsUx-"))
                i++;
        return is_one_of(peek(s, i), ":)") && (i > 2 || peek(s, i) == ':') ? NULL
                                                                           : "unrecognized group";
}

/* Within brackets. */
static const char *refuse_in_class(const struct scan *s)
{
        char c = peek(s, 0);

        if (c == '[' && peek(s, 1) != ':')
                return "nested classes are not supported";
        if (is_one_of(c, "&-~") && peek(s, 1) == c)
                return "set operations in classes are not supported";
        return NULL;
}

/* From "[" to its "]". A "]" right at the start is a member. */
static const char *skip_class(struct scan *s)
{
        const char *refusal = NULL;

        s->at += peek(s, 1) == '^' ? 2 : 1;
        if (peek(s, 0) == ']')
                s->at++;
        for (; s->at < s->end && *s->at != ']' && !refusal; s->at++) {
                if (*s->at == '\\') {
                        s->at++;
                        refusal = refuse_escape(s);
                } else if (*s->at == '[' && peek(s, 1) == ':') {
                        const char *close = memmem(s->at, (size_t)(s->end - s->at), ":]", 2);

                        s->at = close ? close + 1 : s->end - 1;
                } else {
                        refusal = refuse_in_class(s);
                }
        }
        return refusal;
}

const char *filter_dialect_refusal(const char *pattern, size_t len)
{
        struct scan s = {pattern, pattern + len};
        const char *refusal = NULL;

        if (len && memchr(pattern, 0, len))
                return "a NUL in the pattern";
        for (; s.at < s.end && !refusal; s.at++) {
                if (*s.at == '\\') {
                        s.at++;
                        refusal = refuse_escape(&s);
                } else if (*s.at == '[') {
                        refusal = skip_class(&s);
                } else if (*s.at == '(') {
                        refusal = refuse_group(&s);
                } else if (is_one_of(*s.at, "*+?}") && is_one_of(peek(&s, 1), "+*")) {
                        refusal = "repetition of a repetition is not supported";
                }
        }
        return refusal;
}
