/* SPDX-License-Identifier: Apache-2.0 */
#include "basic/macro.h"
#include "busrtctl/benchmark.h"

#define FILL 0xee
#define NUMBER_BITS 56

int benchmark_payload_init(struct benchmark_payload *payload, size_t len)
{
        size_t rest = len - sizeof(payload->head) - sizeof(payload->tail);

        payload->fill = malloc(MAX(rest, (size_t)1));
        if (!payload->fill)
                return -ENOMEM;
        memset(payload->fill, FILL, rest);
        payload->len = len;
        payload->iov[0] = (struct iovec){payload->head, sizeof(payload->head)};
        payload->iov[1] = (struct iovec){payload->fill, rest};
        payload->iov[2] = (struct iovec){payload->tail, sizeof(payload->tail)};
        return 0;
}

void benchmark_payload_done(struct benchmark_payload *payload)
{
        free(payload->fill);
        payload->fill = NULL;
}

void benchmark_payload_number(struct benchmark_payload *payload, uint64_t number)
{
        payload->head[0] = FILL;
        for (unsigned i = 0; i < 7; i++)
                payload->head[i + 1] = (uint8_t)(number >> (8 * i));
        for (unsigned i = 0; i < sizeof(payload->tail); i++)
                payload->tail[i] = (uint8_t)~payload->head[i];
}

int benchmark_payload_read(const struct benchmark_payload *payload, const void *data, size_t len,
                           uint64_t *ret)
{
        const uint8_t *bytes = data, *tail = bytes + len - sizeof(payload->tail);
        size_t rest = payload->iov[1].iov_len;
        uint64_t number = 0;

        if (len != payload->len || bytes[0] != FILL)
                return -EBADMSG;
        for (unsigned i = 0; i < sizeof(payload->tail); i++)
                if ((tail[i] ^ bytes[i]) != UINT8_MAX)
                        return -EBADMSG;
        if (memcmp(bytes + sizeof(payload->head), payload->fill, rest) != 0)
                return -EBADMSG;
        for (unsigned i = 0; i < NUMBER_BITS / 8; i++)
                number |= (uint64_t)bytes[i + 1] << (8 * i);
        *ret = number;
        return 0;
}
