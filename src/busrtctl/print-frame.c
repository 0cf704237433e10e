/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three views. For people: time, kind, sender, topic, and the payload as text on one line where it
 * is text, else as a hex dump below; both are cut unless all is wanted. For programs: JSON, or bare
 * payloads.
 */
#include "basic/macro.h"
#include "basic/utf8.h"
#include "busrtctl/print-frame.h"
#include "busrtctl/text-time.h"

#define TEXT_SHOWN 1024
#define HEX_SHOWN 128

struct view {
        const char *kind, *sender, *topic;
        const uint8_t *payload;
        size_t len;
        bool realtime;
};

static const char *kind_name(enum busrt_kind kind)
{
        switch (kind) {
        case BUSRT_KIND_MESSAGE:
                return "message";
        case BUSRT_KIND_BROADCAST:
                return "broadcast";
        case BUSRT_KIND_PUBLICATION:
                return "publication";
        case BUSRT_KIND_REPLY:
                break;
        }
        return "reply";
}

static struct view view_of(const busrt_frame *frame)
{
        struct view view = {
                .kind = kind_name(busrt_frame_get_kind(frame)),
                .sender = busrt_frame_get_sender(frame),
                .topic = busrt_frame_get_topic(frame),
                .realtime = busrt_frame_is_realtime(frame) > 0,
        };

        view.payload = busrt_frame_get_payload(frame, &view.len);
        return view;
}

/* --- For people --- */

/* The longest start of the payload that may be shown and does not end inside a character. */
static size_t shown_length(const struct view *view, size_t max)
{
        size_t n = max;

        if (view->len <= max)
                return view->len;
        while (n > 0 && (view->payload[n] & 0xc0) == 0x80)
                n--;
        return n;
}

static void add_text(struct text *out, const struct settings *settings, const struct view *view,
                     bool full)
{
        size_t n = full ? view->len : shown_length(view, TEXT_SHOWN);

        text_add_visible(out, view->payload, n);
        if (n < view->len)
                text_addf(out, "%s ... %zu more bytes%s", ansi(settings, ANSI_DIM), view->len - n,
                          ansi(settings, ANSI_RESET));
        text_adds(out, "\n");
}

static void add_dump(struct text *out, const struct settings *settings, const struct view *view,
                     bool full)
{
        size_t n = full ? view->len : MIN(view->len, (size_t)HEX_SHOWN);

        text_addf(out, "%s%zu bytes%s\n", ansi(settings, ANSI_DIM), view->len,
                  ansi(settings, ANSI_RESET));
        text_add_hex(out, view->payload, n, "    ");
        if (n < view->len)
                text_addf(out, "    %s... %zu more bytes%s\n", ansi(settings, ANSI_DIM),
                          view->len - n, ansi(settings, ANSI_RESET));
}

static void add_human(struct text *out, const struct settings *settings, const struct view *view,
                      bool full)
{
        text_adds(out, ansi(settings, ANSI_DIM));
        text_add_clock(out, now_realtime(), false);
        text_addf(out, " %-11s%s %s", view->kind, ansi(settings, ANSI_RESET),
                  ansi(settings, ANSI_CYAN));
        text_add_visible(out, view->sender, strlen(view->sender));
        text_adds(out, ansi(settings, ANSI_RESET));
        if (view->topic) {
                text_addf(out, " %s", ansi(settings, ANSI_GREEN));
                text_add_visible(out, view->topic, strlen(view->topic));
                text_adds(out, ansi(settings, ANSI_RESET));
        }
        if (view->realtime)
                text_addf(out, " %srealtime%s", ansi(settings, ANSI_YELLOW),
                          ansi(settings, ANSI_RESET));
        text_adds(out, ": ");
        if (text_is_readable(view->payload, view->len))
                add_text(out, settings, view, full);
        else
                add_dump(out, settings, view, full);
}

/* --- For programs --- */

static bool is_text(const struct view *view)
{
        return utf8_is_valid(view->payload, view->len) && !memchr(view->payload, 0, view->len);
}

static void add_json(struct text *out, const struct view *view)
{
        bool as_text = view->len == 0 || is_text(view);

        text_adds(out, "{\"time\":");
        text_add_iso(out, now_realtime());
        text_addf(out, ",\"kind\":\"%s\",\"sender\":", view->kind);
        text_add_json(out, view->sender, strlen(view->sender));
        text_adds(out, ",\"topic\":");
        if (view->topic)
                text_add_json(out, view->topic, strlen(view->topic));
        else
                text_adds(out, "null");
        text_addf(out, ",\"realtime\":%s,\"size\":%zu,\"encoding\":\"%s\",\"payload\":",
                  view->realtime ? "true" : "false", view->len, as_text ? "text" : "base64");
        if (as_text) {
                text_add_json(out, view->payload, view->len);
        } else {
                text_adds(out, "\"");
                text_add_base64(out, view->payload, view->len);
                text_adds(out, "\"");
        }
        text_adds(out, "}\n");
}

void print_frame(struct text *out, const struct settings *settings, const struct frame_style *style,
                 const busrt_frame *frame)
{
        struct view view = view_of(frame);

        switch (style->view) {
        case VIEW_HUMAN:
                add_human(out, settings, &view, style->full);
                break;
        case VIEW_JSON:
                add_json(out, &view);
                break;
        case VIEW_RAW:
                text_add(out, view.payload, view.len);
                text_add(out, &style->delimiter, 1);
                break;
        case VIEW_TOPIC:
                if (view.topic) {
                        text_add_visible(out, view.topic, strlen(view.topic));
                        text_adds(out, "\n");
                }
        }
}
