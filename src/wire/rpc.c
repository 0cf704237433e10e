/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/le.h"
#include "wire/rpc.h"

static bool rpc_decode_request(const uint8_t *payload, size_t len, struct rpc_message *ret)
{
        const uint8_t *zero = len > 5 ? memchr(payload + 5, 0, len - 5) : NULL;

        if (!zero)
                return false;
        *ret = (struct rpc_message){.kind = RPC_REQUEST,
                                    .id = le32_get(payload + 1),
                                    .method = (const char *)payload + 5,
                                    .method_len = (size_t)(zero - (payload + 5)),
                                    .data = zero + 1,
                                    .data_len = (size_t)(payload + len - (zero + 1))};
        return true;
}

bool rpc_decode(const uint8_t *payload, size_t len, struct rpc_message *ret)
{
        size_t header;

        if (len == 0)
                return false;
        switch (payload[0]) {
        case RPC_NOTIFICATION:
                *ret = (struct rpc_message){RPC_NOTIFICATION, .data = payload + 1,
                                            .data_len = len - 1};
                return true;
        case RPC_REQUEST:
                return rpc_decode_request(payload, len, ret);
        case RPC_REPLY:
        case RPC_ERROR:
                header = payload[0] == RPC_REPLY ? RPC_REPLY_HEADER_SIZE : RPC_ERROR_HEADER_SIZE;
                if (len < header)
                        return false;
                *ret = (struct rpc_message){payload[0], .id = le32_get(payload + 1),
                                            .data = payload + header, .data_len = len - header};
                if (payload[0] == RPC_ERROR)
                        ret->code = (int16_t)le16_get(payload + 5);
                return true;
        default:
                return false;
        }
}

void rpc_reply_encode(uint8_t out[RPC_REPLY_HEADER_SIZE], uint32_t id)
{
        out[0] = RPC_REPLY;
        le32_put(out + 1, id);
}

void rpc_error_encode(uint8_t out[RPC_ERROR_HEADER_SIZE], uint32_t id, int16_t code)
{
        out[0] = RPC_ERROR;
        le32_put(out + 1, id);
        le16_put(out + 5, (uint16_t)code);
}

size_t rpc_request_encode(uint8_t *out, uint32_t id, const char *method, size_t method_len)
{
        out[0] = RPC_REQUEST;
        le32_put(out + 1, id);
        memcpy(out + 5, method, method_len);
        out[5 + method_len] = 0;
        return 6 + method_len;
}
