/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What org.busrt1 answers, as the structures of admin.h. Each reads what follows in the message:
 * 0 or more; -ENOMEM; or another -errno, where the message is of another type.
 */
#pragma once

#include <systemd/sd-bus.h>

#include "busrtctl/admin-fields.h"

/* type: 's', 'o' */
int bus_read_text(sd_bus_message *m, char type, struct admin_memory *memory, const char **ret);
int bus_read_words(sd_bus_message *m, struct admin_memory *memory, const char ***ret);

/* A property that the table does not have: reads its variant, or skips it. */
typedef int (*bus_property_reader)(sd_bus_message *m, const char *name, struct admin_memory *memory,
                                   void *structure);
/* What GetAll tells. Properties that are not known here are passed over, those that are missing
 * stay empty: brokers of other versions have more, or fewer. */
int bus_read_properties(sd_bus_message *m, const struct admin_fields *fields,
                        bus_property_reader other, struct admin_memory *memory, void *structure);

int bus_read_clients(sd_bus_message *m, struct admin_memory *memory, struct admin_clients *ret);
int bus_read_masks(sd_bus_message *m, struct admin_memory *memory,
                   struct admin_client_details *ret);
int bus_read_subscriptions(sd_bus_message *m, struct admin_memory *memory,
                           struct admin_subscriptions *ret);
int bus_read_listeners(sd_bus_message *m, struct admin_memory *memory, struct admin_status *ret);
int bus_read_quotas(sd_bus_message *m, struct admin_memory *memory, struct admin_quotas *ret);
int bus_read_settings(sd_bus_message *m, struct admin_memory *memory, struct admin_settings *ret);
