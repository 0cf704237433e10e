/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter of client.list, through calls to it: what it matches, what it refuses, and that no
 * pattern whatever costs more than was promised. Times have a ceiling of ten times the promise, of
 * the CPU's time, not the clock's.
 */
#include "broker-rpc/filter.h"
#include "fake-engine.h"

static void call_filter(const char *pattern, size_t len)
{
        uint8_t *params = test_malloc(13 + len);

        memcpy(params,
               "\x81\xa6"
               "filter\xdb",
               9);
        for (int i = 0; i < 4; i++)
                params[9 + i] = (uint8_t)(len >> (24 - 8 * i));
        memcpy(params + 13, pattern, len);
        call("client.list", params, 13 + len);
        test_free(params);
}

/* One name against one pattern: 1 it matches, 0 it does not, else the code. */
static int try(const char *pattern, const char *name)
{
        struct engine_client_info client = {.name = name, .primary = true, .instances = 1};
        struct rpc_message m;

        show(&client, 1);
        call_filter(pattern, strlen(pattern));
        show(NULL, 0);
        assert_true(rpc_decode(bus.reply, bus.reply_len, &m));
        if (m.kind == RPC_ERROR) {
                assert_true(m.data_len > 0);
                return m.code;
        }
        assert_memory_equal(m.data,
                            "\x81\xa7"
                            "clients",
                            9);
        return m.data[9] & 0x0f;
}

static void test_a_filter_matches_as_rust_does(void **state)
{
        static const struct {
                const char *pattern, *yes, *no; /* names, divided by blanks */
        } cases[] = {
                {"", "a é", ""},
                {"b", "b abc", "a B"},
                {"^plc\\.", "plc.1 plc.", "xplc.1 plc"},
                {"^plc\\.\\d+$", "plc.1 plc.10", "plc. plc.x"},
                {"a|^b", "xa b", "xb"},
                {"^(a|bc)+$", "a abca", "ab c"},
                {"(?i)plc", "plc PLC pLc", "pl"},
                {"(?i:P)lc", "plc Plc", "pLc"},
                {"(?i)é", "é É", "e"},
                {"(?P<n>a)(?<m>b)", "ab", "a"},
                {"a{2}", "aa xaay", "a aba"},
                {"^a{2,}$", "aa aaa", "a"},
                {"^a{1,2}$", "a aa", "aaa"},
                {"^.$", "a é", "ab"},
                {"^a$", "a", "a\n"},
                {"^\\w+$", "a_1 é жук", "a-b a.b"},
                {"\\bone\\b", "one a.one.b", "ones"},
                {"\\Aa\\z", "a", "aa"},
                {"^[a-c.-]+$", "a.b-c", "d"},
                {"^[^a]", "b é", "a"},
                {"[]a]", "] a", "b"},
                {"\\x61", "a", "b"},
                {"\\x{e9}", "é", "e"},
                {"\\p{L}1", "é1 a1", "11"},
                {"^\\P{L}+$", "12", "a"},
                {"\\p{Lu}", "A É", "a"},
                {"\\p{Cyrillic}", "ж", "a"},
                {"^[[:alpha:]]+$", "ab", "é a1"},
                {"[[:^alpha:]]", "é 1", "ab"},
                {"(?x) a  b # and so on", "ab", "a"},
                {"\\.\\*\\+\\-\\/\\_\\%", ".*+-/_%", "x"},
                {"a+?b*?", "a", "b"},
                {"]}", "]}", "]"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
                for (int expected = 0; expected < 2; expected++) {
                        char names[64], *rest = names, *name;

                        strcpy(names, expected ? cases[i].yes : cases[i].no);
                        while ((name = strsep(&rest, " "))) {
                                if (*name && try(cases[i].pattern, name) != expected)
                                        fail_msg("%s on %s", cases[i].pattern, name);
                        }
                }
}

static const char *const refused[] = {
        "a(?=b)",
        "a(?!b)",
        "(?<=a)b",
        "(?<!a)b",
        "(a)\\1",
        "(?P<n>a)(?P=n)",
        "(?<n>a)\\k<n>",
        "(a)\\g1",
        "\\0",
        "(?>a)",
        "(?|a|b)",
        "(?R)",
        "(?1)",
        "(?&n)",
        "(?P>n)",
        "(?(1)a|b)",
        "(?C)",
        "(?#a)",
        "(?'n'a)",
        "(*ACCEPT)",
        "(*UTF8)a",
        "(*NO_JIT)a",
        "\\Ka",
        "\\Ga",
        "\\Qa\\E",
        "\\Xa",
        "\\Ra",
        "\\ha",
        "\\Ha",
        "\\Va",
        "\\Na",
        "\\Ca",
        "\\Z",
        "\\ea",
        "\\ca",
        "\\oa",
        "\\i",
        "a++",
        "a*+",
        "a?+",
        "a{2}+",
        "a**",
        "(",
        ")",
        "(a",
        "a)",
        "[",
        "[a",
        "[z-a]",
        "*",
        "+a",
        "?",
        "|*",
        "(?i)*",
        "(?",
        "(?P<",
        "(?P<1>a)",
        "\\",
        "a{2,1}",
        "a{",
        "a{}",
        "a{1",
        "a{1,",
        "a{,2}",
        "a{ 2 }",
        "{2}",
        "\\p{Nothing}",
        "\\p{^L}",
        "\\p{L&}",
        "(?z)a",
        "(?ii)a",
        "(?i-i)a",
        "(?-)a",
        "(?i-)a",
        "(?)a",
        "(?^)a",
        "(?J)a",
        "(?n)a",
        "(?xx)a",
        "\\x",
        "\\xz",
        "\\x6",
        "\\x{}",
        "\\x{110000}",
        "\\x{d800}",
        "\\u0061",
        "[\\b]",
        "[\\A]",
        "[a-\\d]",
        "(?P<n>a)(?P<n>b)",
        "[a&&b]",
        "[a--b]",
        "[a~~b]",
        "[a[b]]",
        "\\é",
        "[[:nothing:]]",
        "[[:alpha]_]",
        "[[:alpha",
        "[[:^alpha:",

        "(?x:a)#\\w[[:alpha:]]",
        "(?x)(?-x:#)",
        "[[:alpha:]\\d]",
        "(?x)[ a ]",
        "(?x)[#]",
        "\\b{start}",
};

static void test_what_rust_refuses_or_reads_otherwise_is_refused(void **state)
{

        for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
                if (try(refused[i], "a") != RPC_CODE_PARSE)
                        fail_msg("%s was taken", refused[i]);
}

static void test_a_nul_or_too_long_a_pattern_is_refused(void **state)
{
        char *pattern = test_malloc(1 << 20);

        call_filter("a\0b", 3);
        expect_error(RPC_CODE_PARSE, true);
        memset(pattern, 'a', 1 << 20);
        call_filter(pattern, FILTER_LENGTH_MAX);
        assert_int_equal(bus.reply[0], RPC_REPLY);
        memory_count();
        call_filter(pattern, FILTER_LENGTH_MAX + 1);
        expect_error(RPC_CODE_PARSE, true);
        call_filter(pattern, 1 << 20);
        expect_error(RPC_CODE_PARSE, true);
        assert_true(memory.n_bytes < 1024);
        test_free(pattern);
}

/* Names that make it worst, and several of them: the budget is one for the list. */
static void show_long_names(void)
{
        static char names[20][1025];
        static struct engine_client_info clients[20];
        static const char *const pieces[] = {"a", "ab", "é", " ", ".a-b_9"};

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                const char *piece = pieces[i % ARRAY_SIZE(pieces)];

                names[i][0] = '\0';
                while (strlen(names[i]) + strlen(piece) < sizeof(names[i]) - 1)
                        strcat(names[i], piece);
                strcat(names[i], "!");
                clients[i] = (struct engine_client_info){
                        .name = names[i], .primary = true, .instances = 1};
        }
        show(clients, ARRAY_SIZE(clients));
}

static void test_no_filter_is_expensive(void **state)
{
        static const char *const patterns[] = {
                "^(a|a|aa)+$",
                "(a+)+$",
                "(a*)*b",
                "(.*.*.*)*\\d",
                "(.*)*(.*)*(.*)*x$",
                "((a?){30}){30}$",
                "(a|b|ab)*(a|b|ab)*(a|b|ab)*$",
                "(\\w+\\s?)+$",
                "(|){0,1000}$",
                "\\pL{50,}(|){0,1000}b",
                "((a|){0,30}){0,30}$",
                "a{0,1000}a{0,1000}a{0,1000}$",
                "\\w*\\W*\\w{1000}$",
                "[a-z]+\\pL{1000}",
                "(?i)(é|É|e)*$",
                "\\S*\\s{2}",
                "\\W+$",
                "(?i)[\\x{80}-\\x{10ffff}][\\x{80}-\\x{10ffff}][\\x{80}-\\x{10ffff}][\\x{80}-\\x{"
                "10ffff}]",
                "(?i)[é-\xf0\x9f\x98\x80][é-\xf0\x9f\x98\x80][é-\xf0\x9f\x98\x80][é-"
                "\xf0\x9f\x98\x80]",
        };

        show_long_names();
        for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
                uint64_t start = cpu_time();

                memory_count();
                call_filter(patterns[i], strlen(patterns[i]));
                if (cpu_time() - start >= CEILING || memory.n_bytes >= 4 << 20)
                        fail_msg("%s: %llu us, %zu bytes", patterns[i],
                                 (unsigned long long)((cpu_time() - start) / NSEC_PER_USEC),
                                 memory.n_bytes);
                assert_true(is_error(RPC_CODE_PARSE) || bus.reply[0] == RPC_REPLY);
        }
}

/* PCRE2 looks at each character of a range when flag i is on. */
static void test_wide_ranges_are_paid_for(void **state)
{
        show_long_names();
        call_filter(BYTES("^[\\x{80}-\\x{10ffff}][\\x{80}-\\x{10ffff}]$"));
        assert_int_equal(bus.reply[0], RPC_REPLY);
        call_filter(BYTES("(?i)^[\\x{80}-\\x{10ffff}]$"));
        assert_int_equal(bus.reply[0], RPC_REPLY);
        call_filter(BYTES("(?i)^[\\x{80}-\\x{10ffff}][\\x{80}-\\x{10ffff}]$"));
        assert_true(is_error(RPC_CODE_PARSE) && error_says("too expensive"));
}

/* Each choice that may be taken back is kept in memory: here twenty for each character. */
static void test_a_match_has_little_memory(void **state)
{
        static const char pattern[] = "^((((((((((((((((((((a|b)|b)|b)|b)|b)|b)|b)|b)|b)|b)|b)|b)|"
                                      "b)|b)|b)|b)|b)|b)|b)|b)*$";

        show_long_names();
        memory_count();
        call_filter(BYTES(pattern));
        expect_error(RPC_CODE_PARSE, true);
        assert_true(memory.n_bytes < 4 << 20);
}

static void test_the_price_limit_has_its_text(void **state)
{
        show_long_names();
        call_filter(BYTES("^(a|a|aa)+$"));
        expect_error(RPC_CODE_PARSE, true);
        assert_true(error_says("filter too expensive"));
}

/* The limit is on the whole list: a filter that is cheap for one name is refused for very many. */
static void test_the_budget_is_one_for_the_list(void **state)
{
        static char names[2000][64];
        struct engine_client_info *clients = many_clients(ARRAY_SIZE(names), names);

        show(clients, 10);
        call_filter(BYTES(".+.+\\W{3}"));
        assert_int_equal(bus.reply[0], RPC_REPLY);
        show(clients, 2000);
        call_filter(BYTES(".+.+\\W{3}"));
        assert_true(is_error(RPC_CODE_PARSE) && error_says("too expensive"));
        test_free(clients);
}

static void test_patterns_are_bounded_when_compiled(void **state)
{
        static const char *const pieces[] = {
                "(",  "[a-z]", "(a{1000}){60}",        "(?:a|b){200}", "(?i)é{3}",    "\\pL\\PL",
                "((", "(a|",   "[\\x{100}-\\x{ffff}]", "(?i)[é-￿]", "[[:alpha:]]", "a{0,65535}"};
        char *pattern = test_malloc(FILTER_LENGTH_MAX);

        for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
                size_t len = strlen(pieces[i]), n = 0;
                uint64_t start;

                for (; n + len <= FILTER_LENGTH_MAX; n += len)
                        memcpy(pattern + n, pieces[i], len);
                memory_count();
                start = cpu_time();
                call_filter(pattern, n);
                if (cpu_time() - start >= CEILING || memory.n_bytes >= 4 << 20)
                        fail_msg("%s ...: %llu us, %zu bytes", pieces[i],
                                 (unsigned long long)((cpu_time() - start) / NSEC_PER_USEC),
                                 memory.n_bytes);
        }
        test_free(pattern);
}

/* A match of PCRE2's that needs more room than it has at first. */
static void test_without_memory_a_match_is_an_internal_error(void **state)
{
        struct engine_client_info client = {.primary = true, .instances = 1};
        char name[1025];

        memset(name, 'a', 1024);
        name[1024] = '\0';
        client.name = name;
        show(&client, 1);
        fail_in_turn("client.list", BYTES("\x91\xa6(a|b)*"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_a_filter_matches_as_rust_does),
                TEST(test_what_rust_refuses_or_reads_otherwise_is_refused),
                TEST(test_a_nul_or_too_long_a_pattern_is_refused),
                TEST(test_no_filter_is_expensive),
                TEST(test_wide_ranges_are_paid_for),
                TEST(test_a_match_has_little_memory),
                TEST(test_the_price_limit_has_its_text),
                TEST(test_the_budget_is_one_for_the_list),
                TEST(test_patterns_are_bounded_when_compiled),
                TEST(test_without_memory_a_match_is_an_internal_error),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
