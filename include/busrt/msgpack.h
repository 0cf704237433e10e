/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Params and results of remote calls as MessagePack maps, the convention of BUS/RT
 * (docs/protocol.md, 5), on msgpack-c. Inline, so that libbusrt itself needs no msgpack-c: who
 * includes this links that.
 *
 *      busrt_params params = BUSRT_PARAMS_INIT;
 *      const struct iovec *iov;
 *      int n = 0;
 *
 *      busrt_params_add_string(&params, "filter", "^plc");
 *      n = busrt_params_get(&params, &iov);
 *      if (n >= 0)
 *              r = busrt_client_call(client, ".broker", "client.list", iov, n, …);
 *      busrt_params_done(&params);
 *
 * Functions that return int give 0 or more on success and -errno on failure; outputs are then
 * untouched. None of these objects may be used by two threads at a time.
 */
#ifndef BUSRT_MSGPACK_H
#define BUSRT_MSGPACK_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#include <msgpack.h>

#include <busrt/client.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- Writing a map --- */

/* A map that grows. Set to BUSRT_PARAMS_INIT before the first use; freed by busrt_params_done(),
 * which also makes it usable again. Its fields are its own business. It is not to be copied. */
typedef struct busrt_params {
        struct iovec iov[2];
        msgpack_sbuffer pairs;
        msgpack_packer packer;
        int error;
        uint32_t n_pairs;
        unsigned char header[5];
} busrt_params;
#define BUSRT_PARAMS_INIT                                                                          \
        {                                                                                          \
                {{NULL, 0}, {NULL, 0}}, {0, NULL, 0}, {NULL, NULL}, 0, 0,                          \
                {                                                                                  \
                        0                                                                          \
                }                                                                                  \
        }

static inline void busrt_params_done(busrt_params *params)
{
        msgpack_sbuffer_destroy(&params->pairs);
        memset(params, 0, sizeof(*params));
}

/* Internal: r of a pack function; an error stays until busrt_params_done(). */
static inline int busrt_internal_keep(busrt_params *params, int r)
{
        if (r < 0 && params->error == 0)
                params->error = -ENOMEM;
        return params->error;
}

static inline int busrt_internal_pack_text(busrt_params *params, const char *text, size_t len)
{
        if (len > UINT32_MAX)
                return params->error = -EMSGSIZE;
        busrt_internal_keep(params, msgpack_pack_str(&params->packer, len));
        return busrt_internal_keep(params, msgpack_pack_str_body(&params->packer, text, len));
}

/* Adds a key, and returns where its one value is to be packed by msgpack-c's own functions: for
 * arrays, maps and whatever else has no function here. The packer is good until the next call. */
static inline msgpack_packer *busrt_params_add(busrt_params *params, const char *key)
{
        msgpack_packer_init(&params->packer, &params->pairs, msgpack_sbuffer_write);
        params->n_pairs++;
        busrt_internal_pack_text(params, key, strlen(key));
        return &params->packer;
}

/* These return 0, or the first error that any of them has had: it may be looked at once, in
 * busrt_params_get(). -ENOMEM; -EMSGSIZE: 2^32 bytes or more. */
static inline int busrt_params_add_int(busrt_params *params, const char *key, int64_t value)
{
        return busrt_internal_keep(params,
                                   msgpack_pack_int64(busrt_params_add(params, key), value));
}

static inline int busrt_params_add_uint(busrt_params *params, const char *key, uint64_t value)
{
        return busrt_internal_keep(params,
                                   msgpack_pack_uint64(busrt_params_add(params, key), value));
}

static inline int busrt_params_add_double(busrt_params *params, const char *key, double value)
{
        return busrt_internal_keep(params,
                                   msgpack_pack_double(busrt_params_add(params, key), value));
}

/* value: 0 is false, all else true. */
static inline int busrt_params_add_bool(busrt_params *params, const char *key, int value)
{
        msgpack_packer *packer = busrt_params_add(params, key);

        return busrt_internal_keep(params,
                                   value ? msgpack_pack_true(packer) : msgpack_pack_false(packer));
}

/* value: UTF-8; NULL is nil. */
static inline int busrt_params_add_string(busrt_params *params, const char *key, const char *value)
{
        msgpack_packer *packer = busrt_params_add(params, key);

        if (value == NULL)
                return busrt_internal_keep(params, msgpack_pack_nil(packer));
        return busrt_internal_pack_text(params, value, strlen(value));
}

static inline int busrt_params_add_bytes(busrt_params *params, const char *key, const void *data,
                                         size_t len)
{
        msgpack_packer *packer = busrt_params_add(params, key);

        if (len > UINT32_MAX)
                return params->error = -EMSGSIZE;
        busrt_internal_keep(params, msgpack_pack_bin(packer, len));
        return busrt_internal_keep(params, msgpack_pack_bin_body(packer, data, len));
}

/* The map so far, as *ret of that many pieces: what the functions of libbusrt take. It points into
 * params, and is good until params are changed. Or the first error. */
static inline int busrt_params_get(busrt_params *params, const struct iovec **ret)
{
        if (params->error < 0)
                return params->error;
        params->header[0] = 0xdf; /* a map whose length has four bytes */
        for (int i = 0; i < 4; i++)
                params->header[1 + i] = (unsigned char)(params->n_pairs >> (24 - 8 * i));
        params->iov[0].iov_base = params->header;
        params->iov[0].iov_len = sizeof(params->header);
        params->iov[1].iov_base = params->pairs.data;
        params->iov[1].iov_len = params->pairs.size;
        *ret = params->iov;
        return params->n_pairs > 0 ? 2 : 1;
}

/* --- Reading --- */

/* What stands behind a first byte of 0xc0 or more: the length of a length, bytes beside those that
 * it counts, and how many values each counted one is (0: a byte). */
struct busrt_internal_form {
        unsigned char length, fixed, values;
};

static inline struct busrt_internal_form busrt_internal_form_of(unsigned char first)
{
        static const struct busrt_internal_form forms[] = {
                {0, 0, 0}, {0, 0, 0}, {0, 0, 0}, {0, 0, 0},  {1, 0, 0}, {2, 0, 0}, {4, 0, 0},
                {1, 1, 0}, {2, 1, 0}, {4, 1, 0}, {0, 4, 0},  {0, 8, 0}, {0, 1, 0}, {0, 2, 0},
                {0, 4, 0}, {0, 8, 0}, {0, 1, 0}, {0, 2, 0},  {0, 4, 0}, {0, 8, 0}, {0, 2, 0},
                {0, 3, 0}, {0, 5, 0}, {0, 9, 0}, {0, 17, 0}, {1, 0, 0}, {2, 0, 0}, {4, 0, 0},
                {2, 0, 1}, {4, 0, 1}, {2, 0, 2}, {4, 0, 2},
        };

        return forms[first - 0xc0];
}

/* Are there as many bytes as the values claim? msgpack-c takes memory for what is claimed. */
static inline int busrt_internal_fits(const unsigned char *p, size_t len)
{
        uint64_t values = 1;
        size_t at = 0;

        while (values > 0) {
                struct busrt_internal_form form = {0, 0, 0};
                uint64_t count = 0;
                unsigned char first;

                if (values > len - at)
                        return 0;
                values--;
                first = p[at++];
                if (first >= 0xc0 && first < 0xe0) {
                        form = busrt_internal_form_of(first);
                        if (form.length + (size_t)form.fixed > len - at)
                                return 0;
                        for (unsigned i = 0; i < form.length; i++)
                                count = count << 8 | p[at++];
                        at += form.fixed;
                } else if (first >= 0x80 && first < 0xc0) {
                        form.values = first < 0x90 ? 2 : first < 0xa0 ? 1 : 0;
                        count = first < 0xa0 ? first & 15 : first & 31;
                }
                if (form.values == 0 && count > len - at)
                        return 0;
                at += form.values == 0 ? (size_t)count : 0;
                values += form.values * count;
        }
        return 1;
}

/* Reads one value: params of a request, or a result. ret->data is the value; texts and bytes in it
 * point into data, which must outlive it. No bytes at all are nil. Free with
 * msgpack_unpacked_destroy(). -EBADMSG: not MessagePack, cut off, or more behind it. -ENOMEM: also
 * what is nested deeper than msgpack-c reads (32). */
static inline int busrt_unpack(const void *data, size_t len, msgpack_unpacked *ret)
{
        msgpack_unpacked unpacked;
        size_t end = 0;
        int r;

        if (len > 0 && !busrt_internal_fits((const unsigned char *)data, len))
                return -EBADMSG;
        msgpack_unpacked_init(&unpacked);
        if (len > 0) {
                r = msgpack_unpack_next(&unpacked, (const char *)data, len, &end);
                if (r != MSGPACK_UNPACK_SUCCESS || end != len) {
                        msgpack_unpacked_destroy(&unpacked);
                        return r == MSGPACK_UNPACK_NOMEM_ERROR ? -ENOMEM : -EBADMSG;
                }
        }
        *ret = unpacked;
        return 0;
}

/* The same, of a frame's payload: the frame must outlive it. */
static inline int busrt_frame_unpack(const busrt_frame *frame, msgpack_unpacked *ret)
{
        size_t len;
        const void *payload = busrt_frame_get_payload(frame, &len);

        return busrt_unpack(payload, len, ret);
}

/* Whether a value is this text. Some clients send their texts as bytes. */
static inline int busrt_object_is(const msgpack_object *object, const char *text)
{
        size_t len = strlen(text);

        if (object->type == MSGPACK_OBJECT_STR)
                return object->via.str.size == len && memcmp(object->via.str.ptr, text, len) == 0;
        if (object->type == MSGPACK_OBJECT_BIN)
                return object->via.bin.size == len && memcmp(object->via.bin.ptr, text, len) == 0;
        return 0;
}

/* The value of that key. NULL: no such key, nil, or map is no map. Lives as long as the map. */
static inline const msgpack_object *busrt_map_get(const msgpack_object *map, const char *key)
{
        if (map == NULL || map->type != MSGPACK_OBJECT_MAP)
                return NULL;
        for (uint32_t i = 0; i < map->via.map.size; i++) {
                const msgpack_object_kv *pair = &map->via.map.ptr[i];

                if (busrt_object_is(&pair->key, key))
                        return pair->val.type == MSGPACK_OBJECT_NIL ? NULL : &pair->val;
        }
        return NULL;
}

/* The value of that key as a C type. -ENOENT: busrt_map_get() has none; -EBADMSG: of another type;
 * -ERANGE: the number does not fit. */
static inline int busrt_map_get_int(const msgpack_object *map, const char *key, int64_t *ret)
{
        const msgpack_object *value = busrt_map_get(map, key);

        if (value == NULL)
                return -ENOENT;
        if (value->type == MSGPACK_OBJECT_NEGATIVE_INTEGER) {
                *ret = value->via.i64;
                return 0;
        }
        if (value->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
                return -EBADMSG;
        if (value->via.u64 > INT64_MAX)
                return -ERANGE;
        *ret = (int64_t)value->via.u64;
        return 0;
}

static inline int busrt_map_get_uint(const msgpack_object *map, const char *key, uint64_t *ret)
{
        const msgpack_object *value = busrt_map_get(map, key);

        if (value == NULL)
                return -ENOENT;
        if (value->type == MSGPACK_OBJECT_NEGATIVE_INTEGER)
                return -ERANGE;
        if (value->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
                return -EBADMSG;
        *ret = value->via.u64;
        return 0;
}

/* Whole numbers, too. */
static inline int busrt_map_get_double(const msgpack_object *map, const char *key, double *ret)
{
        const msgpack_object *value = busrt_map_get(map, key);

        if (value == NULL)
                return -ENOENT;
        switch (value->type) {
        case MSGPACK_OBJECT_FLOAT32:
        case MSGPACK_OBJECT_FLOAT64:
                *ret = value->via.f64;
                return 0;
        case MSGPACK_OBJECT_POSITIVE_INTEGER:
                *ret = (double)value->via.u64;
                return 0;
        case MSGPACK_OBJECT_NEGATIVE_INTEGER:
                *ret = (double)value->via.i64;
                return 0;
        default:
                return -EBADMSG;
        }
}

/* *ret: 1 or 0. */
static inline int busrt_map_get_bool(const msgpack_object *map, const char *key, int *ret)
{
        const msgpack_object *value = busrt_map_get(map, key);

        if (value == NULL)
                return -ENOENT;
        if (value->type != MSGPACK_OBJECT_BOOLEAN)
                return -EBADMSG;
        *ret = value->via.boolean ? 1 : 0;
        return 0;
}

/* A text or bytes, of that many bytes: there is no NUL behind them. They live as long as the map.
 */
static inline int busrt_map_get_string(const msgpack_object *map, const char *key, const char **ret,
                                       size_t *ret_len)
{
        const msgpack_object *value = busrt_map_get(map, key);

        if (value == NULL)
                return -ENOENT;
        if (value->type == MSGPACK_OBJECT_STR) {
                *ret = value->via.str.ptr;
                *ret_len = value->via.str.size;
                return 0;
        }
        if (value->type != MSGPACK_OBJECT_BIN)
                return -EBADMSG;
        *ret = value->via.bin.ptr;
        *ret_len = value->via.bin.size;
        return 0;
}

#ifdef __cplusplus
}
#endif

#endif
