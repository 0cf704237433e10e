/* SPDX-License-Identifier: Apache-2.0 */
/* Received frames, and the memory that they point into. */
#include "client/internal.h"

#define SPARE_FRAMES 1024

struct chunk *chunk_new(size_t size)
{
        struct chunk *chunk = malloc(sizeof(*chunk) + size);

        if (!chunk)
                return NULL;
        atomic_init(&chunk->refs, 1);
        chunk->size = size;
        return chunk;
}

struct chunk *chunk_unref(struct chunk *chunk)
{
        if (chunk && atomic_fetch_sub_explicit(&chunk->refs, 1, memory_order_acq_rel) == 1)
                free(chunk);
        return NULL;
}

busrt_frame *frame_new(busrt_client *c)
{
        struct event *spare = STAILQ_FIRST(&c->spare);
        busrt_frame *frame;

        if (spare) {
                STAILQ_REMOVE_HEAD(&c->spare, link);
                c->n_spare--;
                frame = container_of(spare, busrt_frame, event);
        } else
                frame = malloc(sizeof(*frame));
        if (!frame)
                return NULL;
        *frame = (busrt_frame){.event.kind = EVENT_FRAME};
        atomic_init(&frame->refs, 1);
        return frame;
}

void frame_recycle(busrt_client *c, busrt_frame *frame)
{
        /* With one reference, the caller's, nobody can take another. */
        if (c->n_spare >= SPARE_FRAMES ||
            atomic_load_explicit(&frame->refs, memory_order_acquire) != 1) {
                busrt_frame_unref(frame);
                return;
        }
        frame->chunk = chunk_unref(frame->chunk);
        STAILQ_INSERT_HEAD(&c->spare, &frame->event, link);
        c->n_spare++;
}

PUBLIC busrt_frame *busrt_frame_ref(busrt_frame *frame)
{
        if (frame)
                atomic_fetch_add_explicit(&frame->refs, 1, memory_order_relaxed);
        return frame;
}

PUBLIC busrt_frame *busrt_frame_unref(busrt_frame *frame)
{
        if (frame && atomic_fetch_sub_explicit(&frame->refs, 1, memory_order_acq_rel) == 1) {
                chunk_unref(frame->chunk);
                free(frame);
        }
        return NULL;
}

PUBLIC enum busrt_kind busrt_frame_get_kind(const busrt_frame *frame)
{
        return frame ? frame->kind : (enum busrt_kind)0;
}

PUBLIC const char *busrt_frame_get_sender(const busrt_frame *frame)
{
        return frame ? frame->sender : NULL;
}

PUBLIC const char *busrt_frame_get_topic(const busrt_frame *frame)
{
        return frame ? frame->topic : NULL;
}

PUBLIC const void *busrt_frame_get_payload(const busrt_frame *frame, size_t *ret_len)
{
        if (ret_len)
                *ret_len = frame ? frame->len : 0;
        return frame ? frame->payload : NULL;
}

PUBLIC int busrt_frame_is_realtime(const busrt_frame *frame)
{
        return frame && frame->realtime;
}
