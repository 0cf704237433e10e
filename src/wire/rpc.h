/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Remote calls inside the payload of message frames (docs/protocol.md, 5): one byte says what it
 * is, then the call's id, then a method's name, a result or an error. What params and results hold
 * is not this layer's matter.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum rpc_kind {
        RPC_NOTIFICATION = 0x00,
        RPC_REQUEST = 0x01,
        RPC_REPLY = 0x11,
        RPC_ERROR = 0x12,
};

enum rpc_code {
        RPC_CODE_PARSE = -32700,
        RPC_CODE_INVALID_REQUEST = -32600,
        RPC_CODE_METHOD_NOT_FOUND = -32601,
        RPC_CODE_INVALID_PARAMS = -32602,
        RPC_CODE_INTERNAL = -32603,
        RPC_CODE_NOT_FOUND = -32001,
        RPC_CODE_METHOD_NOT_UTF8 = -32114,
};

/* A bus result code (enum wire_result) as the code of an error reply. */
#define RPC_CODE_BUS(result) (-32000 - (result))

#define RPC_REPLY_HEADER_SIZE 5 /* kind, id */
#define RPC_ERROR_HEADER_SIZE 7 /* kind, id, code */

struct rpc_message {
        enum rpc_kind kind;
        uint32_t id;        /* 0 in a request: no reply is wanted */
        const char *method; /* requests only; not NUL-terminated, not checked for UTF-8 */
        size_t method_len;
        int16_t code;        /* error replies only */
        const uint8_t *data; /* params, result, error data or notification payload */
        size_t data_len;
};

/* False: not a remote call, or cut short; such payloads get no reply. */
bool rpc_decode(const uint8_t *payload, size_t len, struct rpc_message *ret);

void rpc_reply_encode(uint8_t out[RPC_REPLY_HEADER_SIZE], uint32_t id);
void rpc_error_encode(uint8_t out[RPC_ERROR_HEADER_SIZE], uint32_t id, int16_t code);
/* out has room for 6 + method_len bytes: kind, id, method, 00. Returns their number. */
size_t rpc_request_encode(uint8_t *out, uint32_t id, const char *method, size_t method_len);
