/* SPDX-License-Identifier: Apache-2.0 */
#include "basic/macro.h"
#include "busrtctl/bus-read.h"

int bus_read_text(sd_bus_message *m, char type, struct admin_memory *memory, const char **ret)
{
        const char *text;
        int r = sd_bus_message_read_basic(m, type, &text);

        if (r <= 0)
                return r < 0 ? r : -EBADMSG;
        return admin_memory_add_text(memory, text, strlen(text), ret);
}

static int read_field(sd_bus_message *m, const struct admin_field *field,
                      struct admin_memory *memory, void *structure)
{
        void *place = admin_field_in(structure, field);
        int r;

        if (field->type == 's')
                return bus_read_text(m, 's', memory, place);
        r = sd_bus_message_read_basic(m, field->type, place);
        return r == 0 ? -EBADMSG : r;
}

/* "(tss...)", all of its fields in the order of the table. 0 at the end of the array. */
static int read_row(sd_bus_message *m, const char *types, const struct admin_fields *fields,
                    struct admin_memory *memory, void *structure)
{
        int r = sd_bus_message_enter_container(m, 'r', types);

        for (size_t i = 0; r > 0 && i < fields->n; i++) {
                r = read_field(m, &fields->fields[i], memory, structure);
                r = r < 0 ? r : 1;
        }
        return r;
}

static const struct admin_field *find_property(const struct admin_fields *fields, const char *name)
{
        for (size_t i = 0; i < fields->n; i++)
                if (fields->fields[i].property && strcmp(fields->fields[i].property, name) == 0)
                        return &fields->fields[i];
        return NULL;
}

static int read_property(sd_bus_message *m, const struct admin_fields *fields,
                         bus_property_reader other, struct admin_memory *memory, void *structure)
{
        const struct admin_field *field;
        const char *name;
        int r = sd_bus_message_read_basic(m, 's', &name);

        if (r <= 0)
                return r < 0 ? r : -EBADMSG;
        field = find_property(fields, name);
        if (!field)
                return other(m, name, memory, structure);
        r = sd_bus_message_enter_container(m, 'v', (const char[]){field->type, '\0'});
        if (r >= 0)
                r = read_field(m, field, memory, structure);
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

int bus_read_properties(sd_bus_message *m, const struct admin_fields *fields,
                        bus_property_reader other, struct admin_memory *memory, void *structure)
{
        int r = sd_bus_message_enter_container(m, 'a', "{sv}");

        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = read_property(m, fields, other, memory, structure);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r;
}

int bus_read_words(sd_bus_message *m, struct admin_memory *memory, const char ***ret)
{
        const char *word;
        size_t n = 0;
        int r = sd_bus_message_enter_container(m, 'a', "s");

        while (r >= 0 && (r = sd_bus_message_read_basic(m, 's', &word)) > 0)
                r = admin_memory_add_word(memory, ret, &n, word, strlen(word));
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

#define CLIENT_ROW "tssssuuutttttttttttto"

int bus_read_clients(sd_bus_message *m, struct admin_memory *memory, struct admin_clients *ret)
{
        int r = sd_bus_message_enter_container(m, 'a', "(" CLIENT_ROW ")");

        while (r >= 0) {
                struct admin_client client;

                admin_client_init(&client);
                r = read_row(m, CLIENT_ROW, &admin_client_fields, memory, &client);
                if (r <= 0)
                        return r;
                r = admin_memory_grow(memory, &ret->clients, ret->n, sizeof(client));
                if (r < 0)
                        return r;
                ret->clients[ret->n++] = client;
                r = sd_bus_message_skip(m, "o");
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r;
}

#define QUOTA_ROW "suttttttttttttttttt"

int bus_read_quotas(sd_bus_message *m, struct admin_memory *memory, struct admin_quotas *ret)
{
        int r = sd_bus_message_enter_container(m, 'a', "(" QUOTA_ROW ")");

        while (r >= 0) {
                struct admin_quota quota;

                admin_quota_init(&quota);
                r = read_row(m, QUOTA_ROW, &admin_quota_fields, memory, &quota);
                if (r <= 0)
                        return r;
                r = admin_memory_grow(memory, &ret->quotas, ret->n, sizeof(quota));
                if (r < 0)
                        return r;
                ret->quotas[ret->n++] = quota;
                r = sd_bus_message_exit_container(m);
        }
        return r;
}

int bus_read_masks(sd_bus_message *m, struct admin_memory *memory, struct admin_client_details *ret)
{
        size_t n_subscriptions = 0, n_exclusions = 0;
        const char *mask;
        int exclusion;
        int r = sd_bus_message_enter_container(m, 'a', "(sb)");

        while (r >= 0 && (r = sd_bus_message_read(m, "(sb)", &mask, &exclusion)) > 0)
                r = exclusion ? admin_memory_add_word(memory, &ret->exclusions, &n_exclusions, mask,
                                                      strlen(mask))
                              : admin_memory_add_word(memory, &ret->subscriptions, &n_subscriptions,
                                                      mask, strlen(mask));
        return r;
}

int bus_read_subscriptions(sd_bus_message *m, struct admin_memory *memory,
                           struct admin_subscriptions *ret)
{
        int r = sd_bus_message_enter_container(m, 'a', "(ssb)");

        while (r >= 0) {
                struct admin_subscription *one;
                const char *client, *mask;
                int exclusion;

                r = sd_bus_message_read(m, "(ssb)", &client, &mask, &exclusion);
                if (r <= 0)
                        return r;
                r = admin_memory_grow(memory, &ret->subscriptions, ret->n, sizeof(*one));
                if (r < 0)
                        return r;
                one = &ret->subscriptions[ret->n++];
                one->exclusion = exclusion;
                r = admin_memory_add_text(memory, client, strlen(client), &one->client);
                if (r >= 0)
                        r = admin_memory_add_text(memory, mask, strlen(mask), &one->mask);
        }
        return r;
}

int bus_read_listeners(sd_bus_message *m, struct admin_memory *memory, struct admin_status *ret)
{
        int r = sd_bus_message_enter_container(m, 'a', "(ssb)");

        while (r >= 0) {
                struct admin_listener *one;
                const char *kind, *address;
                int inherited;

                r = sd_bus_message_read(m, "(ssb)", &kind, &address, &inherited);
                if (r <= 0)
                        return r < 0 ? r : sd_bus_message_exit_container(m);
                r = admin_memory_grow(memory, &ret->listeners, ret->n_listeners, sizeof(*one));
                if (r < 0)
                        return r;
                one = &ret->listeners[ret->n_listeners++];
                one->inherited = inherited;
                r = admin_memory_add_text(memory, kind, strlen(kind), &one->kind);
                if (r >= 0)
                        r = admin_memory_add_text(memory, address, strlen(address), &one->address);
        }
        return r;
}

int bus_read_settings(sd_bus_message *m, struct admin_memory *memory, struct admin_settings *ret)
{
        int r = sd_bus_message_enter_container(m, 'a', "(sssu)");

        while (r >= 0) {
                const char *texts[3];
                struct admin_setting *one;
                uint32_t line;

                r = sd_bus_message_read(m, "(sssu)", &texts[0], &texts[1], &texts[2], &line);
                if (r <= 0)
                        return r;
                r = admin_memory_grow(memory, &ret->settings, ret->n, sizeof(*one));
                if (r < 0)
                        return r;
                one = &ret->settings[ret->n++];
                one->line = line;
                r = admin_memory_add_text(memory, texts[0], strlen(texts[0]), &one->key);
                if (r >= 0)
                        r = admin_memory_add_text(memory, texts[1], strlen(texts[1]), &one->value);
                if (r >= 0)
                        r = admin_memory_add_text(memory, texts[2], strlen(texts[2]), &one->file);
        }
        return r;
}
