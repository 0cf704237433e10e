/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <string.h>

#include "basic/utf8.h"

/* How long the sequence is that starts with this byte, and the range of its second byte (which is
 * where overlong forms, surrogates and too large values show). 0: no such start. */
static unsigned utf8_lead(uint8_t c, uint8_t *ret_low, uint8_t *ret_high)
{
        *ret_low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
        *ret_high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
        if (c >= 0xc2 && c <= 0xdf)
                return 2;
        if (c >= 0xe0 && c <= 0xef)
                return 3;
        return c >= 0xf0 && c <= 0xf4 ? 4 : 0;
}

bool utf8_is_valid(const void *text, size_t len)
{
        const uint8_t *p = text, *end = len ? p + len : p;

        while (p < end) {
                uint8_t low, high;
                uint64_t word;
                unsigned n;

                if (end - p >= 8) {
                        memcpy(&word, p, 8);
                        if (!(word & UINT64_C(0x8080808080808080))) {
                                p += 8;
                                continue;
                        }
                }
                if (*p < 0x80) {
                        p++;
                        continue;
                }
                n = utf8_lead(*p, &low, &high);
                if (n == 0 || (size_t)(end - p) < n || p[1] < low || p[1] > high)
                        return false;
                for (unsigned i = 2; i < n; i++)
                        if ((p[i] & 0xc0) != 0x80)
                                return false;
                p += n;
        }
        return true;
}
