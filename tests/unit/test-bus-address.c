/* SPDX-License-Identifier: Apache-2.0 */
/* Which D-Bus it is to be, and the paths of clients there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "basic/macro.h"
#include "busrtd/bus-address.h"
#include "busrtd/bus-internal.h"

static int clear_environment(void **state)
{
        (void)unsetenv("SYSTEMD_EXEC_PID");
        (void)unsetenv("MANAGERPID");
        (void)unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
        (void)unsetenv("DBUS_SESSION_BUS_ADDRESS");
        (void)unsetenv("XDG_RUNTIME_DIR");
        return 0;
}

static void started_by_systemd(void)
{
        char pid[16];

        (void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
        (void)setenv("SYSTEMD_EXEC_PID", pid, 1);
}

static void what_is_said_is_done(void **state)
{
        started_by_systemd();
        assert_int_equal(bus_address_choose(DBUS_OFF), DBUS_OFF);
        assert_int_equal(bus_address_choose(DBUS_USER), DBUS_USER);
        assert_int_equal(bus_address_choose(DBUS_SYSTEM), DBUS_SYSTEM);
}

static void auto_goes_by_who_started_it(void **state)
{
        assert_int_equal(bus_address_choose(DBUS_AUTO), DBUS_OFF);
        (void)setenv("SYSTEMD_EXEC_PID", "1", 1); /* a child of a service */
        assert_int_equal(bus_address_choose(DBUS_AUTO), DBUS_OFF);
        started_by_systemd();
        assert_int_equal(bus_address_choose(DBUS_AUTO), DBUS_SYSTEM);
        (void)setenv("MANAGERPID", "4711", 1);
        assert_int_equal(bus_address_choose(DBUS_AUTO), DBUS_USER);
}

static void assert_address(enum dbus_mode mode, const char *expected)
{
        _cleanup_free_ char *address = NULL;

        assert_int_equal(bus_address_find(mode, &address), 0);
        assert_string_equal(address, expected);
}

static void addresses_come_from_the_environment(void **state)
{
        char *address;

        assert_address(DBUS_SYSTEM, "unix:path=/run/dbus/system_bus_socket");
        (void)setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/s", 1);
        assert_address(DBUS_SYSTEM, "unix:path=/s");
        assert_int_equal(bus_address_find(DBUS_USER, &address), -ENOENT);
        (void)setenv("XDG_RUNTIME_DIR", "/run/user/1000", 1);
        assert_address(DBUS_USER, "unix:path=/run/user/1000/bus");
        (void)setenv("XDG_RUNTIME_DIR", "/a b;c,d=e%\xc3\xa9", 1);
        assert_address(DBUS_USER, "unix:path=/a%20b%3bc%2cd%3de%25%c3%a9/bus");
        (void)setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/u", 1);
        assert_address(DBUS_USER, "unix:path=/u");
}

static void a_path_is_one_client_s_or_nobody_s(void **state)
{
        static const char *const wrong[] = {"",
                                            "/",
                                            "/_",
                                            "/_01",
                                            "/1",
                                            "/_1x",
                                            "/_1/x",
                                            "/_-1",
                                            "/_+1",
                                            "/_ 1",
                                            "/__1",
                                            "/_0x1",
                                            "/_18446744073709551616",
                                            "/_1844674407370955161500"};
        char path[BUS_CLIENT_PATH_MAX], full[128];
        uint64_t id;

        for (uint64_t n = UINT64_MAX;; n /= 10) {
                assert_true(bus_client_path_parse(bus_client_path(n, path), &id));
                assert_int_equal(id, n);
                if (n == 0)
                        break;
        }
        for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
                (void)snprintf(full, sizeof(full), "/org/busrt1/client%s", wrong[i]);
                assert_false(bus_client_path_parse(full, &id));
                assert_false(bus_client_path_parse(wrong[i], &id));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(what_is_said_is_done, clear_environment),
                cmocka_unit_test_setup(auto_goes_by_who_started_it, clear_environment),
                cmocka_unit_test_setup(addresses_come_from_the_environment, clear_environment),
                cmocka_unit_test(a_path_is_one_client_s_or_nobody_s),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
