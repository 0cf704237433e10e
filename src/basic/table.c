/* SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "basic/table.h"

#define TABLE_MIN 16 /* buckets, once there are any */
#define ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))

static inline void sip_round(uint64_t v[4])
{
        v[0] += v[1];
        v[1] = ROTL(v[1], 13) ^ v[0];
        v[0] = ROTL(v[0], 32);
        v[2] += v[3];
        v[3] = ROTL(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = ROTL(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = ROTL(v[1], 17) ^ v[2];
        v[2] = ROTL(v[2], 32);
}

static inline void sip_word(uint64_t v[4], uint64_t m)
{
        v[3] ^= m;
        sip_round(v);
        v[0] ^= m;
}

/* The last len % 8 bytes, which begin at p, as a number: by one load where the bytes before may be
 * read again. */
static uint64_t last_bytes(const uint8_t *p, size_t len)
{
        size_t n = len & 7;
        uint64_t m = 0;

        if (n == 0)
                return 0;
        if (len > 8) {
                memcpy(&m, p + n - 8, 8);
                return le64toh(m) >> (64 - 8 * n);
        }
        memcpy(&m, p, n);
        return le64toh(m);
}

/* SipHash-1-3: one round per word, three to finish. */
uint64_t table_hash(const struct table *t, const void *data, size_t len)
{
        uint64_t v[4] = {
                t->key[0] ^ UINT64_C(0x736f6d6570736575), t->key[1] ^ UINT64_C(0x646f72616e646f6d),
                t->key[0] ^ UINT64_C(0x6c7967656e657261), t->key[1] ^ UINT64_C(0x7465646279746573)};
        const uint8_t *p = data;
        uint64_t m;

        for (size_t left = len; left >= 8; left -= 8, p += 8) {
                memcpy(&m, p, 8);
                sip_word(v, m);
        }
        sip_word(v, (uint64_t)len << 56 | last_bytes(p, len));
        v[2] ^= 0xff;
        sip_round(v);
        sip_round(v);
        sip_round(v);
        return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void table_init(struct table *t)
{
        *t = (struct table){0};
        t->buckets = &t->first_bucket;
        if (getrandom(t->key, sizeof(t->key), GRND_NONBLOCK) != sizeof(t->key)) {
                /* Before the kernel has entropy (early boot): an address is better than nothing. */
                t->key[0] = (uint64_t)(uintptr_t)t;
                t->key[1] = (uint64_t)(uintptr_t)&t;
        }
}

void table_done(struct table *t)
{
        if (t->buckets != &t->first_bucket)
                free(t->buckets);
        t->buckets = &t->first_bucket;
        t->first_bucket = NULL;
        t->mask = t->n_entries = 0;
}

/* Without memory for it the table stays as large as it is. */
static void table_grow(struct table *t)
{
        size_t n = t->mask + 1 < TABLE_MIN ? TABLE_MIN : (t->mask + 1) * 2;
        struct table_node **buckets = calloc(n, sizeof(*buckets));

        if (!buckets)
                return;
        for (size_t i = 0; i <= t->mask; i++) {
                struct table_node *node = t->buckets[i], *next;

                for (; node; node = next) {
                        next = node->next;
                        node->next = buckets[node->hash & (n - 1)];
                        buckets[node->hash & (n - 1)] = node;
                }
        }
        if (t->buckets != &t->first_bucket)
                free(t->buckets);
        t->buckets = buckets;
        t->mask = n - 1;
}

void table_insert(struct table *t, struct table_node *n, uint64_t hash)
{
        struct table_node **bucket;

        if (t->n_entries > t->mask)
                table_grow(t);
        bucket = &t->buckets[hash & t->mask];
        n->hash = hash;
        n->next = *bucket;
        *bucket = n;
        t->n_entries++;
}

void table_remove(struct table *t, struct table_node *n)
{
        struct table_node **p = &t->buckets[n->hash & t->mask];

        while (*p != n)
                p = &(*p)->next;
        *p = n->next;
        n->next = NULL;
        if (--t->n_entries == 0)
                table_done(t);
}

struct table_node *table_walk(const struct table *t, const struct table_node *n)
{
        size_t i = 0;

        if (n) {
                if (n->next)
                        return n->next;
                i = (n->hash & t->mask) + 1;
        }
        for (; i <= t->mask; i++)
                if (t->buckets[i])
                        return t->buckets[i];
        return NULL;
}
