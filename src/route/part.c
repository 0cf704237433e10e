/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of part.h that take memory. */
#include <errno.h>
#include <stdlib.h>

#include "basic/macro.h"
#include "route/part.h"

#define POINTERS_MIN 4

struct part_node *part_node_new(size_t size, const struct part *part)
{
        struct part_node *n = calloc(1, size + part->len);
        char *text;

        if (!n)
                return NULL;
        text = (char *)n + size;
        memcpy(text, part->text, part->len);
        n->part = (struct part){text, part->len};
        return n;
}

int pointers_grow(void **items, size_t *size, size_t wanted)
{
        size_t bytes = MAX(MAX(wanted, (size_t)POINTERS_MIN) * sizeof(void *), *size * 2);
        void *p = realloc(*items, bytes);

        if (!p)
                return -ENOMEM;
        *items = p;
        *size = bytes;
        return 0;
}
