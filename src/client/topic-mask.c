/* SPDX-License-Identifier: Apache-2.0 */
#include "client/topic-mask.h"

#include <busrt/topics.h>

#include "client/internal.h"

/* Both texts are walked side by side, part by part. */
struct part {
        const char *text; /* NULL: behind the last */
        size_t len;
};

static struct part part_first(const char *text)
{
        return (struct part){text, strcspn(text, "/")};
}

static struct part part_next(struct part p)
{
        return p.text[p.len] ? part_first(p.text + p.len + 1) : (struct part){NULL, 0};
}

static bool part_is(struct part p, char word)
{
        return p.len == 1 && *p.text == word;
}

static int part_compare(struct part a, struct part b)
{
        int r = memcmp(a.text, b.text, MIN(a.len, b.len));

        return r != 0 ? r : (a.len > b.len) - (a.len < b.len);
}

/* 0: a word, 1: any one part, 2: any further parts. */
static int part_width(struct part p)
{
        return part_is(p, '#') ? 2 : part_is(p, '+');
}

bool topic_mask_matches(const char *mask, const char *topic)
{
        struct part m = part_first(mask), t = part_first(topic);

        for (; m.text && t.text; m = part_next(m), t = part_next(t)) {
                if (part_is(m, '#'))
                        return true;
                if (!part_is(m, '+') && part_compare(m, t) != 0)
                        return false;
        }
        return !m.text && !t.text;
}

bool topic_mask_is_literal(const char *mask)
{
        for (struct part p = part_first(mask); p.text; p = part_next(p))
                if (part_width(p) > 0)
                        return false;
        return true;
}

size_t topic_mask_len(const char *mask)
{
        for (struct part p = part_first(mask); p.text; p = part_next(p))
                if (part_is(p, '#'))
                        return (size_t)(p.text + 1 - mask);
        return strlen(mask);
}

int topic_mask_compare(const char *a, const char *b)
{
        struct part x = part_first(a), y = part_first(b);

        for (; x.text && y.text; x = part_next(x), y = part_next(y)) {
                int r = part_width(x) - part_width(y);

                if (r == 0)
                        r = part_compare(x, y);
                if (r != 0 || part_is(x, '#'))
                        return r;
        }
        return (x.text != NULL) - (y.text != NULL);
}

PUBLIC int busrt_topic_matches(const char *mask, const char *topic)
{
        return mask && topic ? topic_mask_matches(mask, topic) : -EINVAL;
}

PUBLIC int busrt_topic_get_part(const char *mask, const char *topic, size_t index, const char **ret,
                                size_t *ret_len)
{
        if (!mask || !topic || !ret || !ret_len)
                return -EINVAL;
        if (!topic_mask_matches(mask, topic))
                return -ENOENT;
        for (struct part m = part_first(mask), t = part_first(topic); m.text;
             m = part_next(m), t = part_next(t)) {
                bool rest = part_is(m, '#');

                if (part_width(m) > 0 && index-- == 0) {
                        *ret = t.text;
                        *ret_len = rest ? strlen(t.text) : t.len;
                        return 0;
                }
                if (rest)
                        break;
        }
        return -ENOENT;
}
