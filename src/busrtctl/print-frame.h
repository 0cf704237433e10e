/* SPDX-License-Identifier: Apache-2.0 */
/* A frame received, as a person or a program reads it. */
#pragma once

#include "busrtctl/busrtctl.h"
#include "busrtctl/text.h"

enum frame_view {
        VIEW_HUMAN,
        VIEW_JSON,  /* one object per line */
        VIEW_RAW,   /* the payload and a delimiter */
        VIEW_TOPIC, /* of publications; of others nothing */
};

struct frame_style {
        enum frame_view view;
        bool full;      /* payloads are not cut */
        char delimiter; /* VIEW_RAW */
};

void print_frame(struct text *out, const struct settings *settings, const struct frame_style *style,
                 const busrt_frame *frame);
