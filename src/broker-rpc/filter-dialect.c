/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "basic/macro.h"
#include "broker-rpc/filter-dialect.h"

#define UNICODE_MAX 0x10ffff

/* A place in the pattern. Past the end there are only NULs, which are refused within it. */
struct scan {
        const char *start, *at, *end;
        bool has_ascii;    /* a class that is ASCII's */
        bool has_unicode;  /* one that is Unicode's */
        bool has_extended; /* flag x: blanks mean nothing, for Rust within classes, too */
        bool is_extended;  /* and that for all of the pattern */
        bool has_caseless; /* flag i */
        uint64_t cost;
        size_t count;
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

static bool is_alphanumeric(char c)
{
        return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* At the letter of \\x{...} or \\p{...}. PCRE2 reads what is in the braces, Rust has no '^' and no
 * '&' there. */
static const char *skip_braces(struct scan *s)
{
        for (; s->at < s->end && *s->at != '}'; s->at++)
                if (is_one_of(*s->at, "^&"))
                        return "Unicode property not found";
        return NULL;
}

/* At the character behind a backslash. */
static const char *refuse_escape(struct scan *s, bool in_class)
{
        char c = peek(s, 0);

        if (is_one_of(c, "0123456789gk"))
                return "back-references and octal escapes are not supported";
        if (c == 'x' && peek(s, 1) != '{' && !(is_hex(peek(s, 1)) && is_hex(peek(s, 2))))
                return "unrecognized escape sequence";
        if (is_one_of(c, "dDsSwWbB"))
                s->has_unicode = true;
        if (is_one_of(c, "xpP") && peek(s, 1) == '{')
                return skip_braces(s);
        if (is_one_of(c, "adDfnrsStwWxpP") || (is_one_of(c, "bBAz") && !in_class))
                return NULL;
        if (c > 0 && !is_alphanumeric(c) && c != '<' && c != '>')
                return NULL;
        return "unrecognized escape sequence";
}

static size_t skip_digits(const struct scan *s, size_t i)
{
        while (is_one_of(peek(s, i), "0123456789"))
                i++;
        return i;
}

/* At "{". PCRE2 takes what is no repetition for text. */
static const char *refuse_count(struct scan *s)
{
        size_t first = skip_digits(s, 1),
               last = peek(s, first) == ',' ? skip_digits(s, first + 1) : first;

        if (first == 1 || peek(s, last) != '}')
                return "malformed repetition count";
        for (size_t i = 1, n = 0; i < first; i++) {
                n = MIN(n * 10 + (size_t)(s->at[i] - '0'), (size_t)UINT16_MAX);
                s->count = MAX(s->count, n);
        }
        return NULL;
}

/* At "(". Flags are those that mean the same in both. */
static const char *refuse_group(struct scan *s)
{
        bool has_x = false;
        size_t i = 2;

        if (peek(s, 1) == '*')
                return "repetition operator missing expression";
        if (peek(s, 1) != '?')
                return NULL;
        if (is_one_of(peek(s, 2), "=!") || (peek(s, 2) == '<' && is_one_of(peek(s, 3), "=!")))
                return "look-around is not supported";
        if (peek(s, 2) == '<' || (peek(s, 2) == 'P' && peek(s, 3) == '<'))
                return NULL;
        for (; is_one_of(peek(s, i), "imsUx-"); i++) {
                if (memchr(s->at + 2, s->at[i], i - 2))
                        return "a flag is given twice";
                has_x = has_x || s->at[i] == 'x';
                s->has_caseless = s->has_caseless || s->at[i] == 'i';
        }
        if (s->at[i - 1] == '-')
                return "a '-' without a flag";
        if (has_x) {
                s->has_extended = true;
                s->is_extended = s->at == s->start && peek(s, i) == ')';
        }
        return is_one_of(peek(s, i), ":)") && (i > 2 || peek(s, i) == ':') ? NULL
                                                                           : "unrecognized group";
}

/* At "-". The last character of a range, if it is one: its number, or somewhat more. */
static uint64_t range_end(const struct scan *s)
{
        uint8_t c = (uint8_t)peek(s, 1);

        if (c == '\\' && peek(s, 2) == 'x')
                return peek(s, 3) == '{' ? UNICODE_MAX : 0xff;
        if (c < 0xe0)
                return c < 0xc0 ? 0 : 0x7ff;
        return c < 0xf0 ? 0xffff : UNICODE_MAX;
}

/* Within brackets. */
static const char *refuse_in_class(struct scan *s)
{
        char c = peek(s, 0);

        if (c == '[')
                return "nested classes are not supported";
        if (is_one_of(c, "&-~") && peek(s, 1) == c)
                return "set operations in classes are not supported";
        if (s->has_extended && is_one_of(c, " \t\n\v\f\r#"))
                return "blanks in a class are not supported with flag x";
        if (c == '-')
                s->cost += range_end(s);
        return NULL;
}

/* At "[:". 1: goes to the end of a name as in [:alpha:]; which there are PCRE2 knows. */
static bool skip_named_class(struct scan *s)
{
        size_t i = peek(s, 2) == '^' ? 3 : 2;

        while (is_alphanumeric(peek(s, i)))
                i++;
        if (peek(s, i) != ':' || peek(s, i + 1) != ']')
                return false;
        s->has_ascii = true;
        s->at += i + 1;
        return true;
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
                        refusal = refuse_escape(s, true);
                } else if (*s->at != '[' || peek(s, 1) != ':' || !skip_named_class(s)) {
                        refusal = refuse_in_class(s);
                }
        }
        return refusal;
}

/* At "#". With flag x a comment: to the end of its line. */
static const char *skip_comment(struct scan *s)
{
        const char *newline;

        if (!s->has_extended)
                return NULL;
        if (!s->is_extended)
                return "a comment where flag x is not on for the whole pattern";
        newline = memchr(s->at, '\n', (size_t)(s->end - s->at));
        s->at = newline ? newline : s->end - 1;
        return NULL;
}

static const char *refuse_token(struct scan *s)
{
        switch (*s->at) {
        case '\\':
                s->at++;
                return refuse_escape(s, false);
        case '[':
                return skip_class(s);
        case '(':
                return refuse_group(s);
        case '{':
                return refuse_count(s);
        case '#':
                return skip_comment(s);
        default:
                if (is_one_of(*s->at, "*+?}") && is_one_of(peek(s, 1), "+*"))
                        return "repetition of a repetition is not supported";
                return NULL;
        }
}

struct filter_dialect filter_dialect_check(const char *pattern, size_t len)
{
        struct scan s = {.start = pattern, .at = pattern, .end = pattern + len};
        const char *refusal = NULL;

        if (len && memchr(pattern, 0, len))
                return (struct filter_dialect){"a NUL in the pattern"};
        for (; s.at < s.end && !refusal; s.at++)
                refusal = refuse_token(&s);
        if (!refusal && s.has_ascii && s.has_unicode)
                refusal = "[:name:] beside \\d, \\s, \\w or \\b is not supported";
        return (struct filter_dialect){refusal, s.has_ascii, s.count, s.has_caseless ? s.cost : 0};
}
