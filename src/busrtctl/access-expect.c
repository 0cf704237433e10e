/* SPDX-License-Identifier: Apache-2.0 */
#include "basic/macro.h"
#include "busrtctl/access-expect.h"
#include "config/config.h"

static int fail(const char **ret_why, const char *why)
{
        *ret_why = why;
        return -EINVAL;
}

void access_words_done(struct access_words *words)
{
        for (size_t i = 0; i < words->n; i++)
                free(words->words[i]);
        free(words->words);
        *words = (struct access_words){0};
}

static int add_word(struct access_words *words, const char *word, size_t len)
{
        char **more = reallocarray(words->words, words->n + 2, sizeof(*more));

        if (!more)
                return -ENOMEM;
        words->words = more;
        more[words->n] = strndup(word, len);
        if (!more[words->n])
                return -ENOMEM;
        more[++words->n] = NULL;
        return 0;
}

int access_words_split(const char *text, struct access_words *ret)
{
        _cleanup_(access_words_done) struct access_words words = {0};
        const char *word;
        size_t len;
        int r;

        while ((r = config_next_word(&text, &word, &len)) > 0) {
                r = add_word(&words, word, len);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        *ret = words;
        words = (struct access_words){0};
        return 0;
}

/* A pair of words behind "as". */
static int take_pair(struct access_header *header, const char *what, const char *value,
                     const char **ret_why)
{
        if (strcmp(what, "group") == 0) {
                if (!header->user)
                        return fail(ret_why, "a group is the user's, and stands behind it");
                if (header->n_groups == ARRAY_SIZE(header->groups))
                        return fail(ret_why, "more than 16 groups");
                header->groups[header->n_groups++] = value;
                return 0;
        }
        if (header->user || header->host)
                return fail(ret_why, "one user or one host connects");
        if (strcmp(what, "user") == 0)
                header->user = value;
        else if (strcmp(what, "host") == 0)
                header->host = value;
        else
                return fail(ret_why, "behind \"as\" stands user, group or host, and then its name");
        return 0;
}

int access_header_parse(const struct access_words *words, struct access_header *ret,
                        const char **ret_why)
{
        struct access_header header = {0};
        int r = 0;

        if (words->n == 0)
                return fail(ret_why, "the name of a client is missing");
        header.name = words->words[0];
        if (words->n > 1 && strcmp(words->words[1], "as") != 0)
                return fail(ret_why, "it is written [NAME as user USER] or [NAME as host ADDRESS]");
        if (words->n > 1 && (words->n < 4 || words->n % 2 != 0))
                return fail(ret_why, "behind \"as\" stands user, group or host, and then its name");
        for (size_t i = 2; i < words->n && r >= 0; i += 2)
                r = take_pair(&header, words->words[i], words->words[i + 1], ret_why);
        if (r < 0)
                return r;
        *ret = header;
        return 0;
}

int access_expectation_parse(const struct access_words *words, enum access_deed *ret,
                             const char **ret_why)
{
        enum access_deed deed = ACCESS_N_DEEDS;

        if (words->n > 0)
                deed = access_deed_find(words->words[0], strlen(words->words[0]));
        if (deed == ACCESS_N_DEEDS)
                return fail(ret_why,
                            "the first word is none of bear, publish, subscribe, send, broadcast "
                            "and receive");
        if (deed == ACCESS_BEAR && words->n > 1)
                return fail(ret_why, "\"bear\" is about the section's own name");
        if (deed != ACCESS_BEAR && words->n == 1)
                return fail(ret_why, "what it is about is missing");
        *ret = deed;
        return 0;
}
