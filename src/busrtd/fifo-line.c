/* SPDX-License-Identifier: Apache-2.0 */
#include "basic/macro.h"
#include "basic/utf8.h"
#include "broker-rpc/kv.h"
#include "busrtd/fifo-line.h"
#include "wire/rpc.h"

static bool is_blank(char c)
{
        return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Up to the first space, and what follows it. False: there is none. */
static bool split(const char *text, size_t len, size_t *ret_first, const char **ret_rest,
                  size_t *ret_rest_len)
{
        const char *space = memchr(text, ' ', len);

        *ret_first = space ? (size_t)(space - text) : len;
        *ret_rest = space ? space + 1 : text + len;
        *ret_rest_len = len - *ret_first - (space != NULL);
        return space != NULL;
}

static const char *parse_topic(const char *text, size_t len, struct fifo_line *l)
{
        l->kind = ENGINE_SEND_PUBLICATION;
        l->target = text;
        return split(text, len, &l->target_len, &l->rest, &l->rest_len)
                       ? NULL
                       : "no message after the topic";
}

static const char *parse_target(const char *text, size_t len, struct fifo_line *l)
{
        bool mask;

        l->target = text;
        if (!split(text, len, &l->target_len, &l->rest, &l->rest_len))
                return "no message after the target";
        if (l->target_len == 0)
                return "no target before the message";
        mask = memchr(text, '*', l->target_len) || memchr(text, '?', l->target_len);
        if (l->rest_len > 0 && l->rest[0] == '.') {
                l->form = FIFO_NOTIFICATION;
                l->rest++;
                l->rest_len--;
        } else if (l->rest_len > 0 && l->rest[0] == ':') {
                l->form = FIFO_CALL;
                l->method = l->rest + 1;
                split(l->method, l->rest_len - 1, &l->method_len, &l->rest, &l->rest_len);
        } else if (mask)
                l->kind = ENGINE_SEND_BROADCAST;
        return NULL;
}

const char *fifo_line_parse(const char *line, size_t len, struct fifo_line *ret)
{
        struct fifo_line l = {.kind = ENGINE_SEND_MESSAGE};
        const char *start = line, *end = line + len, *why;

        if (!utf8_is_valid(line, len))
                return "it is not UTF-8";
        /* Blanks around a publication are no part of it. */
        while (start < end && is_blank(*start))
                start++;
        while (end > start && is_blank(end[-1]))
                end--;
        if (start == end)
                return "";
        if (*start == '=')
                why = parse_topic(start + 1, (size_t)(end - start - 1), &l);
        else
                why = parse_target(line, len, &l);
        if (why)
                return why;
        /* Frames end these with a NUL. */
        if (memchr(l.target, 0, l.target_len) || (l.method && memchr(l.method, 0, l.method_len)))
                return "a NUL in a name";
        *ret = l;
        return NULL;
}

static const char *encode_call(const struct fifo_line *l, uint8_t **ret, size_t *ret_len)
{
        _cleanup_free_ uint8_t *params = NULL;
        size_t params_len, n;
        uint8_t *out;
        int r = kv_encode(l->rest, l->rest_len, &params, &params_len);

        if (r == -EINVAL)
                return "a parameter without '='";
        out = r < 0 ? NULL : malloc(6 + l->method_len + params_len);
        if (!out)
                return "out of memory";
        n = rpc_request_encode(out, 0, l->method, l->method_len);
        memcpy(out + n, params, params_len);
        *ret = out;
        *ret_len = n + params_len;
        return NULL;
}

const char *fifo_line_encode(const struct fifo_line *line, uint8_t **ret, size_t *ret_len)
{
        size_t head = line->form == FIFO_NOTIFICATION;
        uint8_t *out;

        if (line->form == FIFO_CALL)
                return encode_call(line, ret, ret_len);
        out = malloc(head + line->rest_len + 1);
        if (!out)
                return "out of memory";
        out[0] = RPC_NOTIFICATION;
        memcpy(out + head, line->rest, line->rest_len);
        *ret = out;
        *ret_len = head + line->rest_len;
        return NULL;
}
