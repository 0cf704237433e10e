/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the methods of `.broker` answer, as the structures of admin.h. Keys that are missing or nil
 * stay empty: brokers of other versions have more, or fewer. 0; -ENOMEM; -EBADMSG or -ERANGE: a
 * value of another type, or one that does not fit.
 */
#pragma once

#include <busrt/msgpack.h>

#include "busrtctl/admin-fields.h"

/* "" where it is missing. */
int map_read_text(const msgpack_object *map, const char *key, struct admin_memory *memory,
                  const char **ret);
int map_read_fields(const msgpack_object *map, const struct admin_fields *fields,
                    struct admin_memory *memory, void *structure);
/* The array of maps with that key, which must be there; fn is called for each. */
int map_foreach(const msgpack_object *map, const char *key,
                int (*fn)(const msgpack_object *item, struct admin_memory *memory, void *userdata),
                struct admin_memory *memory, void *userdata);
/* An array of texts. */
int map_read_words(const msgpack_object *map, const char *key, struct admin_memory *memory,
                   const char ***ret);
