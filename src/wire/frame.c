/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/frame.h"

bool wire_body_split(uint8_t op, const uint8_t *body, size_t len, struct wire_body *ret)
{
        const uint8_t *zero = len ? memchr(body, 0, len) : NULL;
        struct wire_body b = {.target = (const char *)body};

        if (!zero)
                return false;
        b.target_len = (size_t)(zero - body);
        b.payload = b.target_len + 1;
        if (op == WIRE_OP_PUBLISH_FOR) {
                b.receiver = (const char *)body + b.payload;
                zero = b.payload < len ? memchr(b.receiver, 0, len - b.payload) : NULL;
                if (!zero)
                        return false;
                b.receiver_len = (size_t)(zero - (const uint8_t *)b.receiver);
                b.payload += b.receiver_len + 1;
        }
        *ret = b;
        return true;
}

bool wire_topics_next(const uint8_t *body, size_t len, size_t *pos, const char **ret_topic,
                      size_t *ret_len)
{
        const uint8_t *zero;

        if (*pos > len)
                return false;
        zero = *pos < len ? memchr(body + *pos, 0, len - *pos) : NULL;
        *ret_topic = (const char *)body + *pos;
        *ret_len = zero ? (size_t)(zero - (body + *pos)) : len - *pos;
        *pos += *ret_len + 1;
        return true;
}
