/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Short texts on hot paths, hashed and compared where they stand: no call, and word by word, the
 * last two overlapping where the length is no multiple of a word's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t text_word(const char *text)
{
        uint64_t word;

        memcpy(&word, text, sizeof(word));
        return word;
}

/* For small caches, by its highest bits. No secret is in it: whoever wants texts of one hash finds
 * them. */
static inline uint64_t text_hash(const char *text, size_t len)
{
        const uint64_t spread = UINT64_C(0x9e3779b97f4a7c15);
        uint64_t hash = len;

        if (len < 8) {
                for (size_t i = 0; i < len; i++)
                        hash = hash << 8 | (uint8_t)text[i];
        } else {
                for (size_t i = 0; i + 8 < len; i += 8)
                        hash = (hash ^ text_word(text + i)) * spread;
                hash ^= text_word(text + len - 8);
        }
        hash *= spread;
        return (hash ^ hash >> 32) * spread;
}

/* Of two texts of one length. Their ends come first: topics of one plant begin alike. */
static inline bool text_is_equal(const char *a, const char *b, size_t len)
{
        if (len < 8) {
                for (size_t i = 0; i < len; i++)
                        if (a[i] != b[i])
                                return false;
                return true;
        }
        if (text_word(a + len - 8) != text_word(b + len - 8))
                return false;
        for (size_t i = 0; i + 8 < len; i += 8)
                if (text_word(a + i) != text_word(b + i))
                        return false;
        return true;
}
