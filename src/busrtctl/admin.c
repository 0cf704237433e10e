/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which way a question takes, and what is the same on both. D-Bus is first, since there polkit
 * decides who may ask what. Where it leads nowhere, the socket of the same broker is taken, where
 * the broker knows root and itself alone.
 */
#include <stdio.h>
#include <sys/stat.h>

#include "basic/macro.h"
#include "busrtctl/admin-fields.h"
#include "busrtctl/bus-call.h"

#define BUS_NAME "org.busrt1"

/* --- Opening --- */

static bool same_file(const char *a, const char *b)
{
        struct stat x, y;

        if (strcmp(a, b) == 0)
                return true;
        return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Whether the socket is that of the user's broker or the system's: those have a name on D-Bus. */
static bool has_bus(const char *address, bool *ret_user)
{
        _cleanup_free_ char *user = NULL;

        if (!address_is_path(address))
                return false;
        if (user_socket(&user) >= 0 && same_file(address, user)) {
                *ret_user = true;
                return true;
        }
        *ret_user = false;
        return same_file(address, SYSTEM_SOCKET);
}

static bool user_socket_is_there(void)
{
        _cleanup_free_ char *path = NULL;
        struct stat st;

        return user_socket(&path) >= 0 && stat(path, &st) == 0;
}

/* Sets user and bus_name. 0 or -ENOMEM. */
static int choose(struct admin *admin)
{
        const struct settings *s = &admin->settings;
        const char *set = getenv("BUSRT_SOCKET");
        bool bus = true;
        int r;

        if (s->instance || s->bus != BUS_AUTO)
                admin->user = s->bus == BUS_USER;
        else if (s->address)
                bus = has_bus(s->address, &admin->user);
        else if (set && set[0])
                bus = has_bus(set, &admin->user);
        else
                admin->user = user_socket_is_there();
        if (!bus)
                return 0;
        r = asprintf(&admin->bus_name, BUS_NAME "%s%s", s->instance ? ".bus_" : "",
                     s->instance ? s->instance : "");
        if (r < 0)
                admin->bus_name = NULL;
        return r < 0 ? -ENOMEM : 0;
}

/* Of a bus that is there or not, for people. */
static char *describe_bus(const struct admin *admin)
{
        char *text;
        int r = asprintf(&text, "%s on %s D-Bus", admin->bus_name,
                         admin->user ? "the user's" : "the system's");

        return r < 0 ? NULL : text;
}

static int open_bus(struct admin *admin)
{
        _cleanup_free_ char *route = describe_bus(admin), *why = NULL;
        int r = route ? bus_open(admin, &why) : -ENOMEM;

        if (r < 0) {
                if (!route || !why || asprintf(&admin->no_bus, "%s: %s", route, why) < 0)
                        admin->no_bus = NULL;
                return r;
        }
        admin->route = TAKE_PTR(route);
        admin->way = &admin_way_bus;
        return 0;
}

static int open_socket(struct admin *admin)
{
        const char *address;
        int r = connect_broker_after(&admin->settings, admin->no_bus, &admin->client);

        if (r == -EACCES && admin->bus_name)
                admin_advise_root();
        if (r < 0)
                return -EXIT_FAILURE;
        address = busrt_client_get_address(admin->client);
        admin->route = strdup(address ? address : "?");
        if (!admin->route)
                return -fail(ENOMEM, "cannot ask the broker");
        admin->way = &admin_way_rpc;
        return 0;
}

int admin_open(const struct settings *settings, struct admin **ret)
{
        _cleanup_(admin_freep) struct admin *admin = calloc(1, sizeof(*admin));
        int r;

        if (!admin)
                return -fail(ENOMEM, "cannot ask the broker");
        admin->settings = *settings;
        r = choose(admin);
        if (r < 0)
                return -fail(-r, "cannot ask the broker");
        if (!admin->bus_name || open_bus(admin) < 0) {
                if (interrupted())
                        return -EXIT_FAILURE;
                r = open_socket(admin);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(admin);
        return 0;
}

struct admin *admin_free(struct admin *admin)
{
        if (!admin)
                return NULL;
        busrt_client_free(admin->client);
        sd_bus_flush_close_unref(admin->bus);
        admin_memory_free(admin->log_level);
        free(admin->no_bus);
        free(admin->bus_name);
        free(admin->route);
        free(admin);
        return NULL;
}

const char *admin_route(const struct admin *admin)
{
        return admin->route;
}

/* --- What both ways have to say --- */

int admin_fail_no_client(const char *name)
{
        (void)fail(0, "no client \"%s\" is connected", name);
        (void)fputs("\"busrtctl list\" lists who is there.\n", stderr);
        return -EXIT_FAILURE;
}

int admin_fail_answer(const struct admin *admin, const char *question, int r)
{
        if (r == -ENOMEM)
                return -fail(ENOMEM, "%s", question);
        return -fail(0, "%s: the answer to %s is not one that this program knows", admin->route,
                     question);
}

int admin_fail_reload(const char *reason)
{
        (void)fail(0, "not reloaded: %s", reason);
        (void)fputs("The configuration in force stays as it was.\n", stderr);
        return -EXIT_FAILURE;
}

int admin_fail_unknown(const struct admin *admin, const char *question)
{
        return -fail(0, "%s: the broker does not know %s: it is no busrtd, or an older one",
                     admin->route, question);
}

void admin_advise_root(void)
{
        if (geteuid() != 0)
                (void)fputs("As root it is allowed: sudo busrtctl ...\n", stderr);
}

bool admin_name_is_id(const char *name, uint64_t *ret)
{
        return name[0] == '#' && parse_number(name + 1, 0, UINT64_MAX, ret) >= 0;
}

/* --- Questions --- */

static int compare_clients(const void *a, const void *b)
{
        const struct admin_client *x = a, *y = b;

        return strcmp(x->name, y->name);
}

static int compare_subscriptions(const void *a, const void *b)
{
        const struct admin_subscription *x = a, *y = b;
        int r = strcmp(x->client, y->client);

        return r != 0 ? r : strcmp(x->mask, y->mask);
}

static int compare_words(const void *a, const void *b)
{
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void sort(void *items, size_t n, size_t size, int (*compare)(const void *, const void *))
{
        if (n > 1)
                qsort(items, n, size, compare);
}

static void sort_words(const char **words)
{
        size_t n = 0;

        while (words[n])
                n++;
        sort(words, n, sizeof(*words), compare_words);
}

static struct admin_memory *memory_new(void)
{
        struct admin_memory *memory = admin_memory_new();

        if (!memory)
                (void)fail(ENOMEM, "cannot ask the broker");
        return memory;
}

int admin_list_clients(struct admin *admin, struct admin_clients *ret)
{
        _cleanup_(admin_memory_freep) struct admin_memory *memory = memory_new();
        struct admin_clients clients = {0};
        int r = memory ? admin->way->list_clients(admin, memory, &clients) : -EXIT_FAILURE;

        if (r < 0)
                return r;
        sort(clients.clients, clients.n, sizeof(*clients.clients), compare_clients);
        clients.memory = TAKE_PTR(memory);
        *ret = clients;
        return 0;
}

void admin_clients_done(struct admin_clients *clients)
{
        admin_memory_free(clients->memory);
        *clients = (struct admin_clients){0};
}

/* A client may have called itself "#5", so that another is taken for it. */
static int check_meaning(struct admin *admin, const char *name)
{
        _cleanup_(admin_clients_done) struct admin_clients clients = {0};
        uint64_t id;
        int r;

        if (!admin_name_is_id(name, &id))
                return 0;
        r = admin_list_clients(admin, &clients);
        for (size_t i = 0; r >= 0 && i < clients.n; i++)
                if (strcmp(clients.clients[i].name, name) == 0 && clients.clients[i].id != id)
                        r = -fail(0,
                                  "\"%s\" could be two: it is the name of client #%llu, too, which "
                                  "is to be given as that; the other by its name",
                                  name, (unsigned long long)clients.clients[i].id);
        return r;
}

int admin_get_client(struct admin *admin, const char *name, struct admin_client_details *ret)
{
        _cleanup_(admin_memory_freep) struct admin_memory *memory = memory_new();
        struct admin_client_details details;
        int r = memory ? check_meaning(admin, name) : -EXIT_FAILURE;

        admin_details_init(&details);
        r = r < 0 ? r : admin->way->get_client(admin, name, memory, &details);
        if (r < 0)
                return r;
        sort_words(details.secondaries);
        sort_words(details.subscriptions);
        sort_words(details.exclusions);
        details.memory = TAKE_PTR(memory);
        *ret = details;
        return 0;
}

void admin_client_details_done(struct admin_client_details *details)
{
        admin_memory_free(details->memory);
        *details = (struct admin_client_details){0};
}

int admin_list_subscriptions(struct admin *admin, const char *name, struct admin_subscriptions *ret)
{
        _cleanup_(admin_memory_freep) struct admin_memory *memory = memory_new();
        struct admin_subscriptions subscriptions = {0};
        int r = !memory ? -EXIT_FAILURE : name ? check_meaning(admin, name) : 0;

        if (r >= 0)
                r = admin->way->list_subscriptions(admin, name, memory, &subscriptions);
        if (r < 0)
                return r;
        sort(subscriptions.subscriptions, subscriptions.n, sizeof(*subscriptions.subscriptions),
             compare_subscriptions);
        subscriptions.memory = TAKE_PTR(memory);
        *ret = subscriptions;
        return 0;
}

void admin_subscriptions_done(struct admin_subscriptions *subscriptions)
{
        admin_memory_free(subscriptions->memory);
        *subscriptions = (struct admin_subscriptions){0};
}

int admin_get_status(struct admin *admin, struct admin_status *ret)
{
        _cleanup_(admin_memory_freep) struct admin_memory *memory = memory_new();
        struct admin_status status;
        int r;

        admin_status_init(&status);
        r = memory ? admin->way->get_status(admin, memory, &status) : -EXIT_FAILURE;
        if (r < 0)
                return r;
        status.memory = TAKE_PTR(memory);
        *ret = status;
        return 0;
}

void admin_status_done(struct admin_status *status)
{
        admin_memory_free(status->memory);
        *status = (struct admin_status){0};
}

int admin_get_settings(struct admin *admin, struct admin_settings *ret)
{
        _cleanup_(admin_memory_freep) struct admin_memory *memory = memory_new();
        struct admin_settings settings = {0};
        int r = memory ? admin->way->get_settings(admin, memory, &settings) : -EXIT_FAILURE;

        if (r < 0)
                return r;
        settings.memory = TAKE_PTR(memory);
        *ret = settings;
        return 0;
}

void admin_settings_done(struct admin_settings *settings)
{
        admin_memory_free(settings->memory);
        *settings = (struct admin_settings){0};
}

/* ADMIN_NO_ID is the largest number. */
static int compare_quotas(const void *a, const void *b)
{
        const struct admin_quota *x = a, *y = b;

        if (x->uid != y->uid)
                return x->uid < y->uid ? -1 : 1;
        return strcmp(x->identity, y->identity);
}

int admin_list_quotas(struct admin *admin, const char *identity, struct admin_quotas *ret)
{
        _cleanup_(admin_memory_freep) struct admin_memory *memory = memory_new();
        struct admin_quotas quotas = {0};
        int r = memory ? admin->way->list_quotas(admin, identity, memory, &quotas) : -EXIT_FAILURE;

        if (r < 0)
                return r;
        sort(quotas.quotas, quotas.n, sizeof(*quotas.quotas), compare_quotas);
        quotas.memory = TAKE_PTR(memory);
        *ret = quotas;
        return 0;
}

void admin_quotas_done(struct admin_quotas *quotas)
{
        admin_memory_free(quotas->memory);
        *quotas = (struct admin_quotas){0};
}

int admin_disconnect(struct admin *admin, const char *name)
{
        int r = check_meaning(admin, name);

        return r < 0 ? r : admin->way->disconnect(admin, name);
}

int admin_reload(struct admin *admin)
{
        return admin->way->reload(admin);
}

int admin_reset_statistics(struct admin *admin)
{
        return admin->way->reset_statistics(admin);
}

int admin_get_log_level(struct admin *admin, const char **ret)
{
        _cleanup_(admin_memory_freep) struct admin_memory *memory = memory_new();
        int r = memory ? admin->way->get_log_level(admin, memory, ret) : -EXIT_FAILURE;

        if (r < 0)
                return r;
        admin_memory_free(admin->log_level);
        admin->log_level = TAKE_PTR(memory);
        return 0;
}

int admin_set_log_level(struct admin *admin, const char *level)
{
        return admin->way->set_log_level(admin, level);
}

int admin_watch(struct admin *admin, admin_event_handler fn, void *userdata)
{
        int r = catch_interrupts();

        return r < 0 ? -fail(r, "cannot wait for events") : admin->way->watch(admin, fn, userdata);
}

int admin_wait(struct admin *admin, uint64_t time)
{
        uint64_t now = now_usec();

        return admin->way->wait(admin, time > UINT64_MAX - now ? UINT64_MAX : now + time);
}
