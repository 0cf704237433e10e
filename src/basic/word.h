/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a word that a person has typed stands for, as the reference reads it (docs/protocol.md, 7):
 * true and false, an integer of 64 bits, else a number as Rust writes it (inf, nan, 1e3, .5), else
 * a text.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum word_kind { WORD_TEXT, WORD_BOOLEAN, WORD_INTEGER, WORD_NUMBER };

struct word {
        enum word_kind kind;
        bool boolean;
        int64_t integer;
        double number;
};

/* 0 or -ENOMEM. */
int word_parse(const char *text, size_t len, struct word *ret);
