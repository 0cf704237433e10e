/* SPDX-License-Identifier: Apache-2.0 */
/* What a broker answers to an administrator becomes structures that hold all of it, or nothing
 * where it is of another form or memory runs out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Before cmocka, which has a macro fail(). */
#include "busrtctl/map-read.h"

#include <cmocka.h>

#include "basic/macro.h"
#include "counted-malloc.h"

/* A map, as its bytes and taken apart. */
struct map {
        busrt_params params;
        msgpack_sbuffer bytes;
        msgpack_unpacked unpacked;
};

static void map_init(struct map *map)
{
        *map = (struct map){.params = BUSRT_PARAMS_INIT};
        msgpack_sbuffer_init(&map->bytes);
        msgpack_unpacked_init(&map->unpacked);
}

static const msgpack_object *map_finish(struct map *map)
{
        const struct iovec *iov;
        int n = busrt_params_get(&map->params, &iov);

        assert_true(n > 0);
        for (int i = 0; i < n; i++)
                assert_int_equal(
                        msgpack_sbuffer_write(&map->bytes, iov[i].iov_base, iov[i].iov_len), 0);
        assert_int_equal(busrt_unpack(map->bytes.data, map->bytes.size, &map->unpacked), 0);
        return &map->unpacked.data;
}

static void map_done(struct map *map)
{
        msgpack_unpacked_destroy(&map->unpacked);
        msgpack_sbuffer_destroy(&map->bytes);
        busrt_params_done(&map->params);
}

static void add_words(struct map *map, const char *key, size_t n)
{
        msgpack_packer *packer = busrt_params_add(&map->params, key);

        (void)msgpack_pack_array(packer, n);
        for (size_t i = 0; i < n; i++) {
                char word[16];
                int len = snprintf(word, sizeof(word), "w%zu", i);

                (void)msgpack_pack_str(packer, (size_t)len);
                (void)msgpack_pack_str_body(packer, word, (size_t)len);
        }
}

static void fields_are_read_in_their_units(void **state)
{
        struct admin_memory *answer = admin_memory_new();
        struct admin_client client;
        struct map map;

        map_init(&map);
        (void)busrt_params_add_string(&map.params, "name", "plc.1");
        (void)busrt_params_add_uint(&map.params, "id", UINT64_MAX);
        (void)busrt_params_add_uint(&map.params, "connected", 1234567);
        (void)busrt_params_add_uint(&map.params, "r_frames", 1234567);
        (void)busrt_params_add_uint(&map.params, "pid", UINT32_MAX);
        (void)busrt_params_add_string(&map.params, "uid", NULL);
        (void)busrt_params_add_string(&map.params, "of the future", "x");
        admin_client_init(&client);
        assert_int_equal(map_read_fields(map_finish(&map), &admin_client_fields, answer, &client),
                         0);
        assert_string_equal(client.name, "plc.1");
        assert_int_equal(client.id, UINT64_MAX);
        assert_int_equal(client.connected, 1234);
        assert_int_equal(client.in_frames, 1234567);
        assert_int_equal(client.pid, UINT32_MAX);
        assert_int_equal(client.uid, ADMIN_NO_ID);
        assert_string_equal(client.primary, "");
        assert_int_equal(client.instances, 1);
        map_done(&map);
        admin_memory_free(answer);
}

static void expect_refused(struct map *map, int error)
{
        struct admin_memory *answer = admin_memory_new();
        struct admin_client client;

        admin_client_init(&client);
        assert_int_equal(map_read_fields(map_finish(map), &admin_client_fields, answer, &client),
                         error);
        map_done(map);
        admin_memory_free(answer);
}

static void what_is_of_another_form_is_refused(void **state)
{
        struct map map;

        map_init(&map);
        (void)busrt_params_add_uint(&map.params, "name", 1);
        expect_refused(&map, -EBADMSG);
        map_init(&map);
        (void)busrt_params_add_string(&map.params, "id", "1");
        expect_refused(&map, -EBADMSG);
        map_init(&map);
        (void)busrt_params_add_uint(&map.params, "uid", UINT64_C(1) << 32);
        expect_refused(&map, -ERANGE);
        map_init(&map);
        (void)busrt_params_add_bytes(&map.params, "name", "a\0b", 3);
        expect_refused(&map, -EBADMSG);
}

/* All words, in their order, and NULL behind them. */
static void expect_words(const char *const *words, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                char word[16];

                (void)snprintf(word, sizeof(word), "w%zu", i);
                assert_string_equal(words[i], word);
        }
        assert_null(words[n]);
}

static void lists_of_any_length_end_with_null(void **state)
{
        for (size_t n = 0; n < 70; n++) {
                static const char *none[] = {NULL};
                struct admin_memory *answer = admin_memory_new();
                const char **words = none;
                struct map map;

                map_init(&map);
                add_words(&map, "l", n);
                assert_int_equal(map_read_words(map_finish(&map), "l", answer, &words), 0);
                expect_words(words, n);
                map_done(&map);
                admin_memory_free(answer);
        }
}

static int add_number(const msgpack_object *item, struct admin_memory *answer, void *userdata)
{
        struct admin_clients *clients = userdata;
        int r = admin_memory_grow(answer, &clients->clients, clients->n, sizeof(*clients->clients));

        if (r >= 0)
                r = map_read_fields(item, &admin_client_fields, answer,
                                    &clients->clients[clients->n++]);
        return r;
}

enum { MANY = 3000 };

static void add_maps(struct map *map)
{
        msgpack_packer *packer = busrt_params_add(&map->params, "clients");

        (void)msgpack_pack_array(packer, MANY);
        for (size_t i = 0; i < MANY; i++) {
                (void)msgpack_pack_map(packer, 2);
                (void)msgpack_pack_str(packer, 2);
                (void)msgpack_pack_str_body(packer, "id", 2);
                (void)msgpack_pack_uint64(packer, i);
                (void)msgpack_pack_str(packer, 4);
                (void)msgpack_pack_str_body(packer, "name", 4);
                (void)msgpack_pack_str(packer, 3);
                (void)msgpack_pack_str_body(packer, "abc", 3);
        }
}

static void every_allocation_may_fail(void **state)
{
        struct admin_memory *answer;
        size_t live, failures = 0;
        struct map map;
        int r = -ENOMEM;

        map_init(&map);
        add_maps(&map);
        (void)map_finish(&map);
        live = memory.n_live;
        for (size_t n = 1; r < 0; n++) {
                struct admin_clients clients = {0};

                memory_fail_in(n);
                answer = admin_memory_new();
                r = answer ? map_foreach(&map.unpacked.data, "clients", add_number, answer,
                                         &clients)
                           : -ENOMEM;
                memory_fail_in(0);
                if (r < 0) {
                        assert_int_equal(r, -ENOMEM);
                        failures++;
                } else {
                        assert_int_equal(clients.n, MANY);
                        for (size_t i = 0; i < MANY; i++) {
                                assert_int_equal(clients.clients[i].id, i);
                                assert_string_equal(clients.clients[i].name, "abc");
                        }
                }
                admin_memory_free(answer);
                assert_int_equal(memory.n_live, live);
        }
        assert_true(failures > 10);
        map_done(&map);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(fields_are_read_in_their_units),
                cmocka_unit_test(what_is_of_another_form_is_refused),
                cmocka_unit_test(lists_of_any_length_end_with_null),
                cmocka_unit_test(every_allocation_may_fail),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
