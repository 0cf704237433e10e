/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What both ways read into the structures of admin.h, as tables: each field has one name as a
 * property on D-Bus and one as a key of a MessagePack map.
 */
#pragma once

#include <stddef.h>

#include "busrtctl/admin-memory.h"
#include "busrtctl/admin.h"

struct admin_field {
        const char *property, *key; /* NULL: not there */
        char type;                  /* of D-Bus: 't', 'u', 's' */
        bool nsec;                  /* the map has nanoseconds; all else is microseconds */
        size_t offset;
};

struct admin_fields {
        const struct admin_field *fields;
        size_t n;
};

/* In the order of a row of ListClients. */
extern const struct admin_fields admin_client_fields;
extern const struct admin_fields admin_status_fields;
/* In the order of a row of ListQuotas. */
extern const struct admin_fields admin_quota_fields;

/* Empty: no text is NULL. */
void admin_client_init(struct admin_client *client);
void admin_details_init(struct admin_client_details *details);
void admin_status_init(struct admin_status *status);
void admin_quota_init(struct admin_quota *quota);

/* A client's fields are found in its details, too. */
_Static_assert(offsetof(struct admin_client_details, client) == 0, "the first");

static inline void *admin_field_in(void *structure, const struct admin_field *field)
{
        return (char *)structure + field->offset;
}
