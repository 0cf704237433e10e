/* SPDX-License-Identifier: Apache-2.0 */
/* Cursors, the side that gives out: how they are made and found, how many there may be, and how
 * long they live. */
#include <sys/random.h>

#include "client/cursor.h"
#include "wire/handshake.h"

#define TTL_DEFAULT (30 * USEC_PER_SEC)
#define MAX_OF_EACH_DEFAULT 256
#define MAX_OF_ALL_DEFAULT 4096
#define MAX_BULK_DEFAULT 65536

int cursor_compare(const busrt_cursor *a, const busrt_cursor *b)
{
        if (a->deadline != b->deadline)
                return a->deadline < b->deadline ? -1 : 1;
        return a < b ? -1 : a > b;
}

RB_GENERATE(cursor_tree, busrt_cursor, by_deadline, cursor_compare)

/* --- All of a client's --- */

int cursors_make(busrt_client *c)
{
        struct cursors *cursors;

        if (c->cursors)
                return 0;
        cursors = malloc(sizeof(*cursors));
        if (!cursors)
                return -ENOMEM;
        *cursors = (struct cursors){.max_of_each = MAX_OF_EACH_DEFAULT,
                                    .max_of_all = MAX_OF_ALL_DEFAULT,
                                    .max_bulk = MAX_BULK_DEFAULT};
        table_init(&cursors->by_id);
        table_init(&cursors->owners);
        RB_INIT(&cursors->deadlines);
        LIST_INIT(&cursors->unreleased);
        TAILQ_INIT(&cursors->ended);
        c->cursors = cursors;
        return 0;
}

static size_t primary_len(const char *name)
{
        const char *end = strstr(name, WIRE_SECONDARY_SEPARATOR);

        return end ? (size_t)(end - name) : strlen(name);
}

struct cursor_owner *owner_find(const struct cursors *cursors, const char *name)
{
        size_t len = primary_len(name);
        uint64_t hash = table_hash(&cursors->owners, name, len);
        struct table_node *node;

        table_foreach (node, &cursors->owners, hash) {
                struct cursor_owner *owner = container_of(node, struct cursor_owner, node);

                if (strncmp(owner->name, name, len) == 0 && owner->name[len] == '\0')
                        return owner;
        }
        return NULL;
}

static struct cursor_owner *owner_make(struct cursors *cursors, const char *name)
{
        size_t len = primary_len(name);
        struct cursor_owner *owner = malloc(sizeof(*owner) + len + 1);

        if (!owner)
                return NULL;
        *owner = (struct cursor_owner){.cursors = LIST_HEAD_INITIALIZER(owner->cursors)};
        memcpy(owner->name, name, len);
        owner->name[len] = '\0';
        table_insert(&cursors->owners, &owner->node, table_hash(&cursors->owners, name, len));
        return owner;
}

int cursor_find(busrt_client *c, const uint8_t id[CURSOR_ID_SIZE], const char *sender,
                busrt_cursor **ret)
{
        struct table_node *node;
        uint64_t hash;

        if (!c->cursors)
                return -ENOENT;
        hash = table_hash(&c->cursors->by_id, id, CURSOR_ID_SIZE);
        table_foreach (node, &c->cursors->by_id, hash) {
                busrt_cursor *cursor = container_of(node, busrt_cursor, node);

                if (memcmp(cursor->id, id, CURSOR_ID_SIZE) != 0)
                        continue;
                /* Nobody has come to close it yet. */
                if (cursor->timed && cursor->deadline <= now_usec())
                        return -ENOENT;
                if (c->cursors->bound && owner_find(c->cursors, sender) != cursor->owner)
                        return -EACCES;
                *ret = cursor;
                return 0;
        }
        return -ENOENT;
}

/* --- Time --- */

void cursor_stop_time(busrt_cursor *cursor)
{
        if (cursor->timed)
                RB_REMOVE(cursor_tree, &cursor->client->cursors->deadlines, cursor);
        cursor->timed = false;
}

void cursor_start_time(busrt_cursor *cursor)
{
        busrt_client *c = cursor->client;
        struct cursor_tree *deadlines = &c->cursors->deadlines;

        cursor_stop_time(cursor);
        cursor->deadline = usec_after(now_usec(), cursor->ttl);
        cursor->timed = cursor->deadline != UINT64_MAX;
        if (!cursor->timed)
                return;
        RB_INSERT(cursor_tree, deadlines, cursor);
        /* Somebody may sleep for longer than that. */
        if (RB_MIN(cursor_tree, deadlines) == cursor && !client_in_handler(c)) {
                client_wake_loop(c);
                client_wake_reader(c);
        }
}

uint64_t cursors_next_time(const busrt_client *c)
{
        const busrt_cursor *first = c->cursors ? RB_MIN(cursor_tree, &c->cursors->deadlines) : NULL;

        return first ? first->deadline : UINT64_MAX;
}

void cursors_keep_time(busrt_client *c, uint64_t now)
{
        /* Nobody calls one whose time runs. */
        struct request_queue none = STAILQ_HEAD_INITIALIZER(none);
        busrt_cursor *cursor;

        while (c->cursors && (cursor = RB_MIN(cursor_tree, &c->cursors->deadlines)) &&
               cursor->deadline <= now)
                cursor_close(cursor, &none);
}

/* --- Beginning --- */

/* The caller's reference. */
static int cursor_make(busrt_request *request, busrt_cursor_next_handler next,
                       busrt_cursor_free_handler free_userdata, void *userdata, uint64_t ttl,
                       busrt_cursor **ret)
{
        const char *sender = request->frame->sender;
        size_t len = strlen(sender) + 1;
        busrt_cursor *cursor = malloc(sizeof(*cursor) + len);

        if (!cursor)
                return -ENOMEM;
        *cursor = (busrt_cursor){.event.kind = EVENT_CURSOR,
                                 .ttl = ttl == BUSRT_TIMEOUT_DEFAULT ? TTL_DEFAULT : ttl,
                                 .next = next,
                                 .free_userdata = free_userdata,
                                 .userdata = userdata,
                                 .released = true,
                                 .calls = STAILQ_HEAD_INITIALIZER(cursor->calls)};
        memcpy(cursor->opener, sender, len);
        if (getrandom(cursor->id, sizeof(cursor->id), 0) != sizeof(cursor->id)) {
                int error = -errno;

                free(cursor);
                return error;
        }
        cursor->id[6] = (cursor->id[6] & 0x0f) | 0x40;
        cursor->id[8] = (cursor->id[8] & 0x3f) | 0x80;
        atomic_init(&cursor->refs, 1);
        cursor->client = client_ref(request->client);
        *ret = cursor;
        return 0;
}

static int get_owner(busrt_client *c, const char *name, struct cursor_owner **ret)
{
        struct cursor_owner *owner;
        int r = c->gone ? -ECONNRESET : cursors_make(c);

        if (r < 0)
                return r;
        owner = owner_find(c->cursors, name);
        if (c->cursors->n_open >= c->cursors->max_of_all ||
            (owner && owner->n_open >= c->cursors->max_of_each))
                return -EBUSY;
        if (!owner)
                owner = owner_make(c->cursors, name);
        if (!owner)
                return -ENOMEM;
        *ret = owner;
        return 0;
}

static int cursor_list(busrt_cursor *cursor)
{
        busrt_client *c = cursor->client;
        struct cursors *cursors;
        struct cursor_owner *owner;
        int r = get_owner(c, cursor->opener, &owner);

        if (r < 0)
                return r;
        cursors = c->cursors;
        cursor->owner = owner;
        owner->n_open++;
        cursors->n_open++;
        LIST_INSERT_HEAD(&owner->cursors, cursor, of_owner);
        table_insert(&cursors->by_id, &cursor->node,
                     table_hash(&cursors->by_id, cursor->id, sizeof(cursor->id)));
        busrt_cursor_ref(cursor);
        cursor->released = false;
        LIST_INSERT_HEAD(&cursors->unreleased, cursor, unreleased);
        busrt_cursor_ref(cursor);
        cursor_start_time(cursor);
        return 0;
}

static int check_new(busrt_request *request, busrt_cursor_next_handler next, uint64_t ttl)
{
        if (!request || !next || ttl == 0)
                return -EINVAL;
        return client_forked(request->client) ? -ECHILD : 0;
}

PUBLIC int busrt_cursor_new(busrt_request *request, busrt_cursor_next_handler next,
                            busrt_cursor_free_handler free_userdata, void *userdata, uint64_t ttl,
                            busrt_cursor **ret)
{
        busrt_cursor *cursor = NULL;
        int r = check_new(request, next, ttl);

        if (r == 0)
                r = ret ? cursor_make(request, next, free_userdata, userdata, ttl, &cursor)
                        : -EINVAL;
        if (r < 0)
                return r;
        r = client_lock(request->client);
        if (r == 0)
                r = client_unlock(request->client, cursor_list(cursor));
        if (r < 0)
                busrt_cursor_unref(cursor);
        else
                *ret = cursor;
        return r;
}

/* The program's part is the program's still. */
static void take_back(busrt_cursor *cursor)
{
        struct request_queue none = STAILQ_HEAD_INITIALIZER(none);

        cursor->released = true;
        LIST_REMOVE(cursor, unreleased);
        busrt_cursor_unref(cursor);
        cursor_unlist(cursor, &none);
}

/* At once: nobody may call the cursor before the reply, nor see it end without one. */
static int list_and_reply(busrt_cursor *cursor, busrt_request *request)
{
        uint8_t payload[CURSOR_PAYLOAD_MAX];
        struct iovec iov = {payload, cursor_payload_encode(payload, cursor->id, NULL)};
        int r = cursor_list(cursor);

        if (r < 0)
                return r;
        r = request_reply(request, &iov, 1);
        if (r < 0)
                take_back(cursor);
        return r;
}

PUBLIC int busrt_request_reply_cursor(busrt_request *request, busrt_cursor_next_handler next,
                                      busrt_cursor_free_handler free_userdata, void *userdata,
                                      uint64_t ttl)
{
        busrt_cursor *cursor = NULL;
        int r = check_new(request, next, ttl);

        if (r == 0)
                r = busrt_request_wants_reply(request)
                            ? cursor_make(request, next, free_userdata, userdata, ttl, &cursor)
                            : -EINVAL;
        if (r == 0)
                r = client_lock(request->client);
        if (r == 0)
                r = client_unlock(request->client, list_and_reply(cursor, request));
        busrt_cursor_unref(cursor);
        return r;
}

/* --- What the program may choose, and see --- */

PUBLIC const unsigned char *busrt_cursor_get_id(const busrt_cursor *cursor)
{
        return cursor ? cursor->id : NULL;
}

/* Locked, and there are cursors; or why not. */
static int lock_cursors(busrt_client *c, bool valid)
{
        int r = client_lock(c);

        if (r < 0)
                return r;
        r = valid ? cursors_make(c) : -EINVAL;
        return r < 0 ? client_unlock(c, r) : 0;
}

PUBLIC int busrt_client_set_max_cursors(busrt_client *client, size_t of_each, size_t of_all)
{
        int r = lock_cursors(client, of_each > 0 && of_all > 0);

        if (r < 0)
                return r;
        client->cursors->max_of_each = of_each;
        client->cursors->max_of_all = of_all;
        return client_unlock(client, 0);
}

PUBLIC int busrt_client_set_max_bulk(busrt_client *client, size_t items)
{
        int r = lock_cursors(client, items > 0 && items <= UINT32_MAX);

        if (r < 0)
                return r;
        client->cursors->max_bulk = items;
        return client_unlock(client, 0);
}

PUBLIC int busrt_client_set_cursors_bound(busrt_client *client, int bound)
{
        int r = lock_cursors(client, true);

        if (r < 0)
                return r;
        client->cursors->bound = bound != 0;
        return client_unlock(client, 0);
}

PUBLIC ssize_t busrt_client_count_cursors(busrt_client *client)
{
        int r = client_lock(client);
        ssize_t n;

        if (r < 0)
                return r;
        n = client->cursors ? (ssize_t)client->cursors->n_open : 0;
        (void)client_unlock(client, 0);
        return n;
}
