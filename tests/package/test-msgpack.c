/* SPDX-License-Identifier: Apache-2.0 */
/* <busrt/msgpack.h>: what is written is read back, and what cannot be read is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <busrt/msgpack.h>

/* The map in one piece. */
static char *gather(busrt_params *params, size_t *ret_len)
{
        const struct iovec *iov;
        int n = busrt_params_get(params, &iov);
        size_t len = 0;
        char *data;

        assert_true(n > 0);
        for (int i = 0; i < n; i++)
                len += iov[i].iov_len;
        data = malloc(len);
        assert_non_null(data);
        for (int i = 0, at = 0; i < n; at += (int)iov[i].iov_len, i++)
                memcpy(data + at, iov[i].iov_base, iov[i].iov_len);
        *ret_len = len;
        return data;
}

/* A map with one key of each type, as it was written. */
struct sample {
        busrt_params params;
        char *data;
        msgpack_unpacked result;
        const msgpack_object *map;
};

static void sample_read(struct sample *s)
{
        size_t len;

        s->data = gather(&s->params, &len);
        assert_int_equal(busrt_unpack(s->data, len, &s->result), 0);
        s->map = &s->result.data;
}

static void sample_make(struct sample *s)
{
        busrt_params init = BUSRT_PARAMS_INIT;
        msgpack_packer *packer;

        memcpy(&s->params, &init, sizeof(init));
        assert_int_equal(busrt_params_add_int(&s->params, "min", INT64_MIN), 0);
        assert_int_equal(busrt_params_add_uint(&s->params, "max", UINT64_MAX), 0);
        assert_int_equal(busrt_params_add_int(&s->params, "seven", 7), 0);
        assert_int_equal(busrt_params_add_double(&s->params, "half", 0.5), 0);
        assert_int_equal(busrt_params_add_bool(&s->params, "yes", 2), 0);
        assert_int_equal(busrt_params_add_bool(&s->params, "no", 0), 0);
        assert_int_equal(busrt_params_add_string(&s->params, "text", "Grüße"), 0);
        assert_int_equal(busrt_params_add_string(&s->params, "nil", NULL), 0);
        assert_int_equal(busrt_params_add_bytes(&s->params, "bytes", "a\0b", 3), 0);
        packer = busrt_params_add(&s->params, "array");
        assert_int_equal(msgpack_pack_array(packer, 2), 0);
        assert_int_equal(msgpack_pack_int(packer, 1), 0);
        assert_int_equal(msgpack_pack_int(packer, 2), 0);
        assert_int_equal(busrt_params_add_bool(&s->params, "last", 1), 0);
        sample_read(s);
}

static void sample_done(struct sample *s)
{
        msgpack_unpacked_destroy(&s->result);
        free(s->data);
        busrt_params_done(&s->params);
}

static void test_every_type_is_read_back(void **state)
{
        const char *text;
        struct sample s;
        uint64_t u = 0;
        int64_t i = 0;
        size_t len;
        double d;
        int b;

        sample_make(&s);
        assert_int_equal(s.map->via.map.size, 11);
        assert_int_equal(busrt_map_get_int(s.map, "min", &i), 0);
        assert_true(i == INT64_MIN);
        assert_int_equal(busrt_map_get_uint(s.map, "max", &u), 0);
        assert_true(u == UINT64_MAX);
        assert_int_equal(busrt_map_get_int(s.map, "seven", &i), 0);
        assert_int_equal(busrt_map_get_uint(s.map, "seven", &u), 0);
        assert_true(i == 7 && u == 7);
        assert_int_equal(busrt_map_get_double(s.map, "half", &d), 0);
        assert_true(d == 0.5);
        assert_int_equal(busrt_map_get_double(s.map, "seven", &d), 0);
        assert_true(d == 7);
        assert_int_equal(busrt_map_get_double(s.map, "min", &d), 0);
        assert_true(d == (double)INT64_MIN);
        assert_int_equal(busrt_map_get_bool(s.map, "yes", &b), 0);
        assert_int_equal(b, 1);
        assert_int_equal(busrt_map_get_bool(s.map, "no", &b), 0);
        assert_int_equal(b, 0);
        assert_int_equal(busrt_map_get_string(s.map, "text", &text, &len), 0);
        assert_int_equal(len, strlen("Grüße"));
        assert_memory_equal(text, "Grüße", len);
        assert_int_equal(busrt_map_get_string(s.map, "bytes", &text, &len), 0);
        assert_int_equal(len, 3);
        assert_memory_equal(text, "a\0b", 3);
        assert_int_equal(busrt_map_get(s.map, "array")->via.array.size, 2);
        assert_true(busrt_object_is(busrt_map_get(s.map, "text"), "Grüße"));
        assert_false(busrt_object_is(busrt_map_get(s.map, "text"), "Gr"));
        assert_false(busrt_object_is(busrt_map_get(s.map, "bytes"), "a"));
        assert_false(busrt_object_is(busrt_map_get(s.map, "seven"), "7"));
        sample_done(&s);
}

static void test_what_does_not_fit_is_refused_and_nothing_written(void **state)
{
        const char *text = "untouched";
        struct sample s;
        uint64_t u = 99;
        int64_t i = 99;
        size_t len = 99;
        double d = 99;
        int b = 99;

        sample_make(&s);
        assert_int_equal(busrt_map_get_int(s.map, "max", &i), -ERANGE);
        assert_int_equal(busrt_map_get_uint(s.map, "min", &u), -ERANGE);
        assert_int_equal(busrt_map_get_int(s.map, "half", &i), -EBADMSG);
        assert_int_equal(busrt_map_get_uint(s.map, "text", &u), -EBADMSG);
        assert_int_equal(busrt_map_get_double(s.map, "text", &d), -EBADMSG);
        assert_int_equal(busrt_map_get_bool(s.map, "seven", &b), -EBADMSG);
        assert_int_equal(busrt_map_get_string(s.map, "array", &text, &len), -EBADMSG);
        for (const char *const *key = (const char *const[]){"nil", "none", "", "tex", NULL}; *key;
             key++) {
                assert_null(busrt_map_get(s.map, *key));
                assert_int_equal(busrt_map_get_int(s.map, *key, &i), -ENOENT);
                assert_int_equal(busrt_map_get_uint(s.map, *key, &u), -ENOENT);
                assert_int_equal(busrt_map_get_double(s.map, *key, &d), -ENOENT);
                assert_int_equal(busrt_map_get_bool(s.map, *key, &b), -ENOENT);
                assert_int_equal(busrt_map_get_string(s.map, *key, &text, &len), -ENOENT);
        }
        assert_null(busrt_map_get(NULL, "text"));
        assert_null(busrt_map_get(busrt_map_get(s.map, "array"), "text"));
        assert_true(i == 99 && u == 99 && len == 99 && d == 99 && b == 99);
        assert_string_equal(text, "untouched");
        sample_done(&s);
}

static void test_params_are_empty_at_first_and_after_done(void **state)
{
        struct sample s = {.params = BUSRT_PARAMS_INIT};

        for (int i = 0; i < 2; i++) {
                sample_read(&s);
                assert_int_equal(s.map->type, MSGPACK_OBJECT_MAP);
                assert_int_equal(s.map->via.map.size, 0);
                sample_done(&s);
                assert_int_equal(busrt_params_add_int(&s.params, "a", 1), 0);
                busrt_params_done(&s.params);
        }
}

static void test_many_and_large_values_are_whole(void **state)
{
        struct sample s = {.params = BUSRT_PARAMS_INIT};
        char key[16], *large = calloc(1, 1 << 20);
        const char *text;
        size_t len;

        assert_non_null(large);
        memset(large, 'x', (1 << 20) - 1);
        for (int i = 0; i < 70000; i++) {
                snprintf(key, sizeof(key), "%d", i);
                assert_int_equal(busrt_params_add_int(&s.params, key, i), 0);
        }
        assert_int_equal(busrt_params_add_string(&s.params, "large", large), 0);
        sample_read(&s);
        assert_int_equal(s.map->via.map.size, 70001);
        assert_int_equal(busrt_map_get_string(s.map, "large", &text, &len), 0);
        assert_int_equal(len, (1 << 20) - 1);
        sample_done(&s);
        free(large);
}

static void test_an_error_stays(void **state)
{
        busrt_params params = BUSRT_PARAMS_INIT;
        const struct iovec *iov = NULL;

        assert_int_equal(busrt_params_add_bytes(&params, "a", "", (size_t)UINT32_MAX + 1),
                         -EMSGSIZE);
        assert_int_equal(busrt_params_add_int(&params, "b", 1), -EMSGSIZE);
        assert_int_equal(busrt_params_get(&params, &iov), -EMSGSIZE);
        assert_null(iov);
        busrt_params_done(&params);
        assert_int_equal(busrt_params_add_int(&params, "b", 1), 0);
        assert_true(busrt_params_get(&params, &iov) > 0);
        busrt_params_done(&params);
}

static void assert_refused(const char *data, size_t len)
{
        msgpack_unpacked result;
        int r = busrt_unpack(data, len, &result);

        assert_true(r == -EBADMSG || r == -ENOMEM);
}

static void test_what_is_not_one_value_is_refused(void **state)
{
        static const char whole[] = "\x81\xa1k\xc4\x02zz";
        static const char *const claims[] = {
                "\xdd\xff\xff\xff\xff",
                "\xdf\xff\xff\xff\xff",
                "\xdb\xff\xff\xff\xff",
                "\xc6\xff\xff\xff\xff",
                "\xc9\xff\xff\xff\xff\1",
                "\x92\xdd\x7f\xff\xff\xff\1",
                "\x9f\1\2",
                "\xd8\1",
                "\xcb\1",
        };
        msgpack_unpacked result;
        char deep[4096];

        assert_int_equal(busrt_unpack(NULL, 0, &result), 0);
        assert_int_equal(result.data.type, MSGPACK_OBJECT_NIL);
        msgpack_unpacked_destroy(&result);
        assert_int_equal(busrt_frame_unpack(NULL, &result), 0);
        assert_int_equal(result.data.type, MSGPACK_OBJECT_NIL);
        msgpack_unpacked_destroy(&result);
        for (size_t len = 1; len < sizeof(whole) - 1; len++) {
                char *part = malloc(len);

                assert_non_null(part);
                memcpy(part, whole, len);
                assert_refused(part, len);
                free(part);
        }
        assert_refused(whole, sizeof(whole)); /* one byte more: 00 */
        assert_refused("\xc1", 1);
        /* claims that would take gigabytes, by all that has a length */
        for (size_t i = 0; i < sizeof(claims) / sizeof(*claims); i++)
                assert_int_equal(busrt_unpack(claims[i], strlen(claims[i]), &result), -EBADMSG);
        memset(deep, '\x91', sizeof(deep));
        assert_refused(deep, sizeof(deep));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_type_is_read_back),
                cmocka_unit_test(test_what_does_not_fit_is_refused_and_nothing_written),
                cmocka_unit_test(test_params_are_empty_at_first_and_after_done),
                cmocka_unit_test(test_many_and_large_values_are_whole),
                cmocka_unit_test(test_an_error_stays),
                cmocka_unit_test(test_what_is_not_one_value_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
