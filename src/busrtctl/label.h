/* SPDX-License-Identifier: Apache-2.0 */
/* "   Listener: ...": a line of a view of one thing. */
#pragma once

#include "busrtctl/busrtctl.h"
#include "busrtctl/text.h"

#define LABEL_WIDTH 13

/* An empty label goes on below the line before. */
static inline void add_label(struct text *out, const struct settings *settings, const char *label)
{
        text_addf(out, "%s%*s%s%s ", ansi(settings, ANSI_BOLD), LABEL_WIDTH, label,
                  label[0] ? ":" : " ", ansi(settings, ANSI_RESET));
}

/* "1 frame", "1,234 frames" */
static inline void add_count(struct text *out, uint64_t n, const char *one, const char *many)
{
        char number[TEXT_NUMBER_MAX];

        text_addf(out, "%s %s", text_count(n, number), n == 1 ? one : many);
}

/* "         In: 1,234 frames, 5.6 KiB" */
static inline void add_traffic(struct text *out, const struct settings *settings, const char *label,
                               uint64_t frames, uint64_t bytes)
{
        char number[TEXT_NUMBER_MAX];

        add_label(out, settings, label);
        add_count(out, frames, "frame", "frames");
        text_addf(out, ", %s\n", text_bytes(bytes, number));
}

/* What should be 0 stands out where it is not. */
static inline void add_trouble(struct text *out, const struct settings *settings, const char *label,
                               uint64_t n, const char *one, const char *many)
{
        add_label(out, settings, label);
        text_adds(out, n > 0 ? ansi(settings, ANSI_YELLOW) : "");
        add_count(out, n, one, many);
        text_addf(out, "%s\n", n > 0 ? ansi(settings, ANSI_RESET) : "");
}
