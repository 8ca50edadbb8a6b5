/* What steers the simulated driver: its configuration file, what all its processes share, faults, the log and the gate. */
#ifndef STEER_H
#define STEER_H

#include <p11-kit/pkcs11.h>
#include <stdbool.h>
#include <stdint.h>

enum flag_mode { FLAGS_HONEST, FLAGS_NEVER, FLAGS_PROCESS };

/* One token's settings: those before the first [SERIAL] are everybody's, those after it that token's own. */
struct traits {
  char serial[17];
  char manufacturer[33], model[17], hardware[8], firmware[8];
  char pad_pin[64];
  char named[33]; /* the CKA_ID of every new key; empty: one of its own for each */
  int pin_tries; /* 0: never locks */
  enum flag_mode flags;
  bool wrong_pin_general, pin_pad, pad_cancelled;
  bool write_protected, write_protected_quiet, write_protected_late;
  bool empty_id, own_id, own_label, no_value_search, no_sha256_rsa, always_authenticate, only_new_asks;
  long free_public; /* -1: as SoftHSM says */
  char turns_into[17]; /* the token that the order `swap` puts in its place */
  bool hidden;      /* in no slot of its own */
  int pull, plug;   /* how often it was pulled out and put in again; see `present` */
};

/* What every process that loads the simulator shares, and what survives them, as a token's own memory does. */
struct token_state {
  char serial[17];
  int failed;           /* wrong tries since the last right one */
  int removed;          /* 1 while out */
  unsigned insertions;  /* a session of an earlier insertion is dead */
  int pull, plug;       /* the orders already carried out */
  int swapped;          /* 1 once another token stands in its slot */
};

enum { TOKENS = 256, RULES = 32, FUNCTIONS = 68 };

struct shared {
  uint64_t calls;
  uint64_t per_function[FUNCTIONS];
  struct token_state tokens[TOKENS];
};

enum action { GO, RETURN, CRASH, CRASH_AFTER, HANG, HANG_AFTER, REMOVE, REMOVE_AFTER, INSERT, TRUNCATE, SWAP, SWAP_AFTER };

struct order {
  enum action action;
  unsigned long argument; /* of RETURN: the CK_RV; of TRUNCATE: bytes kept */
};

extern struct shared *shared;
extern const char *const function_names[];

const char *forward_path(void);                     /* the module behind; NULL when the file names none */
bool knob_prints(void), knob_signals(void), knob_no_locking(void);
void steer_load(void);                              /* read the file again if it has changed */
struct traits *traits_of(const char *serial);
struct token_state *state_of(const char *serial);   /* made when new */
bool present(struct token_state *state, struct traits *traits);

/* The start and the end of one call: numbered, logged, shown to the gate, delayed; what is to be done about it. */
struct order call_begins(int function, uint64_t *number);
struct order call_ends(int function, uint64_t number, CK_RV answer);
void carry_out(struct order order);                 /* crash or hang, if it says so */

#endif
