/* SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>

#include "basic/macro.h"
#include "basic/record.h"

void record_put(struct record_writer *w, const void *bytes, size_t len)
{
        if (w->failed)
                return;
        if (w->allocated - w->len < len) {
                size_t n = MAX(2 * w->allocated, w->len + len + 256);
                uint8_t *data = realloc(w->data, n);

                if (!data) {
                        w->failed = true;
                        return;
                }
                w->data = data;
                w->allocated = n;
        }
        if (len)
                memcpy(w->data + w->len, bytes, len);
        w->len += len;
}

void record_put_number(struct record_writer *w, uint64_t n)
{
        n = htole64(n);
        record_put(w, &n, sizeof(n));
}

void record_put_string(struct record_writer *w, const void *bytes, size_t len)
{
        record_put_number(w, len);
        record_put(w, bytes, len);
}

uint64_t record_get_number(struct record_reader *r)
{
        uint64_t n;

        if (r->failed || (size_t)(r->end - r->at) < sizeof(n)) {
                r->failed = true;
                return 0;
        }
        memcpy(&n, r->at, sizeof(n));
        r->at += sizeof(n);
        return le64toh(n);
}

const uint8_t *record_get_string(struct record_reader *r, size_t *ret_len)
{
        uint64_t len = record_get_number(r);
        const uint8_t *p = r->at;

        *ret_len = 0;
        if (r->failed || len > (size_t)(r->end - r->at)) {
                r->failed = true;
                return NULL;
        }
        r->at += len;
        *ret_len = len;
        return p;
}
