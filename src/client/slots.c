/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations and calls that wait for an answer, found by the id that the answer carries. Ids go up,
 * and answers come mostly in order: so an item sits in the slot of its id's low bits, and an id
 * whose slot is taken by one that waits long is passed over.
 */
#include "client/internal.h"

#define SLOTS_MIN 16u

static int slots_grow(struct slots *slots)
{
        uint32_t size = slots->size ? slots->size * 2 : SLOTS_MIN;
        struct pending **slot = size ? calloc(size, sizeof(*slot)) : NULL;

        if (!slot)
                return -ENOMEM;
        /* What differed in fewer low bits differs in more. */
        for (uint32_t i = 0; i < slots->size; i++)
                if (slots->slot[i])
                        slot[slots->slot[i]->id & (size - 1)] = slots->slot[i];
        free(slots->slot);
        slots->slot = slot;
        slots->size = size;
        return 0;
}

uint32_t slots_take_id(struct slots *slots)
{
        uint32_t id = slots->last_id;

        do
                id++;
        while (id == 0 || (slots->size > 0 && slots->slot[id & (slots->size - 1)]));
        return slots->last_id = id;
}

int slots_add(struct slots *slots, struct pending *item)
{
        uint32_t id;
        int r;

        if (slots->used >= slots->size / 2) {
                r = slots_grow(slots);
                if (r < 0)
                        return r;
        }
        id = slots_take_id(slots);
        slots->slot[id & (slots->size - 1)] = item;
        slots->used++;
        item->id = id;
        return 0;
}

struct pending *slots_find(const struct slots *slots, uint32_t id)
{
        struct pending *item = slots->size ? slots->slot[id & (slots->size - 1)] : NULL;

        return item && item->id == id ? item : NULL;
}

void slots_remove(struct slots *slots, struct pending *item)
{
        slots->slot[item->id & (slots->size - 1)] = NULL;
        slots->used--;
        item->id = 0;
}

void slots_done(struct slots *slots)
{
        free(slots->slot);
        *slots = (struct slots){0};
}
