/* SPDX-License-Identifier: Apache-2.0 */
/* Who counts as one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "access/access.h"
#include "basic/macro.h"

static void assert_format(struct identity id, const char *expected)
{
        char text[64];

        identity_format(&id, text, sizeof(text));
        assert_string_equal(text, expected);
}

static void test_identities_have_a_text(void **state)
{
        static const uint8_t v6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 7};
        static const uint8_t full[16] = {0x20, 0x01, 0x0d, 0xb8, 0x12, 0x34, 0xab, 0xcd, 1, 2};
        char small[5];

        assert_format(identity_of_user(1000), "user 1000");
        assert_format(identity_of_user(0), "user 0");
        assert_format(identity_of_user(UINT32_MAX), "user 4294967295");
        assert_format(identity_of_ipv4((const uint8_t[4]){192, 0, 2, 7}), "192.0.2.7");
        assert_format(identity_of_ipv6(v6), "2001:db8::/64");
        assert_format(identity_of_ipv6(full), "2001:db8:1234:abcd::/64");
        assert_format((struct identity){.kind = IDENTITY_BROKER}, "broker");

        identity_format(&(struct identity){.kind = IDENTITY_BROKER}, small, sizeof(small));
        assert_string_equal(small, "brok");
}

static void assert_same(struct identity a, struct identity b, bool same)
{
        assert_int_equal(identity_equal(&a, &b), same);
        /* They are hashed as bytes: what is equal must be equal in all of them. */
        assert_int_equal(memcmp(&a, &b, sizeof(a)) == 0, same);
}

static void test_loopback_is_one_identity(void **state)
{
        static const uint8_t v6_loopback[16] = {[15] = 1};
        static const uint8_t mapped_loopback[16] = {[10] = 0xff, 0xff, 127, 0, 0, 9};
        struct identity loopback = identity_of_ipv4((const uint8_t[4]){127, 0, 0, 1});

        assert_format(loopback, "127.0.0.1");
        assert_same(identity_of_ipv4((const uint8_t[4]){127, 255, 3, 2}), loopback, true);
        assert_same(identity_of_ipv6(v6_loopback), loopback, true);
        assert_same(identity_of_ipv6(mapped_loopback), loopback, true);
        assert_same(identity_of_ipv4((const uint8_t[4]){126, 0, 0, 1}), loopback, false);
        assert_same(identity_of_ipv4((const uint8_t[4]){128, 0, 0, 1}), loopback, false);
}

static void test_ipv6_counts_by_its_first_64_bits(void **state)
{
        uint8_t a[16] = {0x20, 0x01, 0x0d, 0xb8}, b[16];

        for (unsigned bit = 0; bit < 128; bit++) {
                memcpy(b, a, sizeof(b));
                b[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
                assert_same(identity_of_ipv6(a), identity_of_ipv6(b), bit >= 64);
        }
}

static void test_mapped_ipv4_counts_as_ipv4(void **state)
{
        static const uint8_t mapped[16] = {[10] = 0xff, 0xff, 192, 0, 2, 7};
        uint8_t almost[16];
        struct identity v4 = identity_of_ipv4((const uint8_t[4]){192, 0, 2, 7});

        assert_same(identity_of_ipv6(mapped), v4, true);
        for (unsigned i = 0; i < 12; i++) {
                memcpy(almost, mapped, sizeof(almost));
                almost[i] ^= 1;
                assert_int_equal(identity_of_ipv6(almost).kind, IDENTITY_IPV6);
        }
}

static void test_kinds_are_never_mixed_up(void **state)
{
        static const uint8_t zero[16];
        struct identity ids[] = {{.kind = IDENTITY_BROKER},
                                 identity_of_user(0),
                                 identity_of_ipv4(zero),
                                 identity_of_ipv6(zero)};

        for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
                for (size_t j = 0; j < ARRAY_SIZE(ids); j++)
                        assert_same(ids[i], ids[j], i == j);
        assert_same(identity_of_user(1), identity_of_user(256), false);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_identities_have_a_text),
                cmocka_unit_test(test_loopback_is_one_identity),
                cmocka_unit_test(test_ipv6_counts_by_its_first_64_bits),
                cmocka_unit_test(test_mapped_ipv4_counts_as_ipv4),
                cmocka_unit_test(test_kinds_are_never_mixed_up),
        };

        return cmocka_run_group_tests_name("identity", tests, NULL, NULL);
}
