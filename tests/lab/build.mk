# SPDX-License-Identifier: Apache-2.0
# What the compiling guest of tests/lab/record.sh makes: each file of /build in the current directory, from the beginning.
objects := $(patsubst /build/%.i,%.o,$(wildcard /build/*.i))
all: $(objects)
%.o: /build/%.i
	gcc -O0 -w -c -o $@ $<
