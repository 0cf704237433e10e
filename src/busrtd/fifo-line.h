/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line of a FIFO (docs/protocol.md, 7) taken apart, and the payload that comes of it. Pure:
 * text in, bytes out.
 *
 *      TARGET MESSAGE              a message; a broadcast where the target is a mask
 *      =TOPIC MESSAGE              a publication
 *      TARGET .PAYLOAD             a notification
 *      TARGET :method k=v k=v      a call without reply
 */
#pragma once

#include "engine/engine.h"

enum fifo_form {
        FIFO_PLAIN,
        FIFO_NOTIFICATION,
        FIFO_CALL,
};

struct fifo_line {
        enum engine_send_kind kind;
        enum fifo_form form;
        const char *target; /* these point into the line */
        size_t target_len;
        const char *method;
        size_t method_len;
        const char *rest; /* the message, or a call's parameters */
        size_t rest_len;
};

/* The line comes without its end. NULL: well. "": nothing stands in it. Else what is wrong with it.
 */
const char *fifo_line_parse(const char *line, size_t len, struct fifo_line *ret);

/* *ret is the caller's to free. NULL: well. Else what is wrong. */
const char *fifo_line_encode(const struct fifo_line *line, uint8_t **ret, size_t *ret_len);
