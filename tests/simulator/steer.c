/* The steering of the simulated driver. Nothing here knows PKCS#11 but the names of its functions and answers. */
#define _GNU_SOURCE
#include "steer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

struct rule {
  int function; /* -1: any */
  uint64_t nth; /* 0: each */
  struct order order;
};

struct latency {
  int function;
  long milliseconds;
};

static struct {
  char path[4096], forward[4096], log[4096], gate[108];
  struct timespec changed;
  off_t size;
  ino_t file;
  bool prints, signals, no_locking;
  bool unwatched[FUNCTIONS]; /* not shown to the gate */
  struct rule rules[RULES];
  int rule_count;
  struct latency latencies[RULES];
  int latency_count;
  struct traits all, own[TOKENS];
  int own_count;
} conf;

struct shared *shared;
static int gate_fd = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

const char *const function_names[FUNCTIONS] = {
    "C_Initialize", "C_Finalize", "C_GetInfo", "C_GetFunctionList", "C_GetSlotList", "C_GetSlotInfo", "C_GetTokenInfo",
    "C_GetMechanismList", "C_GetMechanismInfo", "C_InitToken", "C_InitPIN", "C_SetPIN", "C_OpenSession",
    "C_CloseSession", "C_CloseAllSessions", "C_GetSessionInfo", "C_GetOperationState", "C_SetOperationState", "C_Login",
    "C_Logout", "C_CreateObject", "C_CopyObject", "C_DestroyObject", "C_GetObjectSize", "C_GetAttributeValue",
    "C_SetAttributeValue", "C_FindObjectsInit", "C_FindObjects", "C_FindObjectsFinal", "C_EncryptInit", "C_Encrypt",
    "C_EncryptUpdate", "C_EncryptFinal", "C_DecryptInit", "C_Decrypt", "C_DecryptUpdate", "C_DecryptFinal",
    "C_DigestInit", "C_Digest", "C_DigestUpdate", "C_DigestKey", "C_DigestFinal", "C_SignInit", "C_Sign",
    "C_SignUpdate", "C_SignFinal", "C_SignRecoverInit", "C_SignRecover", "C_VerifyInit", "C_Verify", "C_VerifyUpdate",
    "C_VerifyFinal", "C_VerifyRecoverInit", "C_VerifyRecover", "C_DigestEncryptUpdate", "C_DecryptDigestUpdate",
    "C_SignEncryptUpdate", "C_DecryptVerifyUpdate", "C_GenerateKey", "C_GenerateKeyPair", "C_WrapKey", "C_UnwrapKey",
    "C_DeriveKey", "C_SeedRandom", "C_GenerateRandom", "C_GetFunctionStatus", "C_CancelFunction", "C_WaitForSlotEvent"};

static const struct {
  const char *name;
  CK_RV value;
} answers[] = {
    {"GENERAL_ERROR", CKR_GENERAL_ERROR}, {"FUNCTION_FAILED", CKR_FUNCTION_FAILED}, {"DEVICE_ERROR", CKR_DEVICE_ERROR},
    {"DEVICE_MEMORY", CKR_DEVICE_MEMORY}, {"DEVICE_REMOVED", CKR_DEVICE_REMOVED}, {"HOST_MEMORY", CKR_HOST_MEMORY},
    {"TOKEN_NOT_PRESENT", CKR_TOKEN_NOT_PRESENT}, {"TOKEN_WRITE_PROTECTED", CKR_TOKEN_WRITE_PROTECTED},
    {"SESSION_HANDLE_INVALID", CKR_SESSION_HANDLE_INVALID}, {"SESSION_COUNT", CKR_SESSION_COUNT},
    {"MECHANISM_INVALID", CKR_MECHANISM_INVALID}, {"PIN_LOCKED", CKR_PIN_LOCKED}, {"PIN_INCORRECT", CKR_PIN_INCORRECT},
    {"PIN_INVALID", CKR_PIN_INVALID}, {"PIN_LEN_RANGE", CKR_PIN_LEN_RANGE}, {"PIN_EXPIRED", CKR_PIN_EXPIRED}, {"OPERATION_ACTIVE", CKR_OPERATION_ACTIVE},
};

static int function_of(const char *name) {
  for (int i = 0; i < FUNCTIONS; i++)
    if (!strcmp(name, function_names[i])) return i;
  return -1;
}

static CK_RV answer_of(const char *name) {
  for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
    if (!strcmp(name, answers[i].name)) return answers[i].value;
  return strtoul(name, NULL, 0);
}

/* "return DEVICE_MEMORY", "crash", "truncate 100": what a rule or the gate says. */
static struct order order_of(const char *text) {
  static const struct {
    const char *name;
    enum action action;
  } known[] = {{"return", RETURN}, {"crash", CRASH}, {"crash_after", CRASH_AFTER}, {"hang", HANG},
               {"hang_after", HANG_AFTER}, {"remove", REMOVE}, {"remove_after", REMOVE_AFTER}, {"insert", INSERT},
               {"truncate", TRUNCATE}, {"swap", SWAP}, {"swap_after", SWAP_AFTER}};
  char name[32] = "", argument[64] = "";
  struct order order = {GO, 0};
  sscanf(text, "%31s %63s", name, argument);
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (!strcmp(name, known[i].name)) order.action = known[i].action;
  order.argument = order.action == RETURN ? answer_of(argument) : strtoul(argument, NULL, 0);
  return order;
}

static void copy(char *to, size_t room, const char *from) { snprintf(to, room, "%s", from); }

static void token_setting(struct traits *t, const char *key, const char *value) {
  bool yes = !strcmp(value, "yes");
  if (!strcmp(key, "manufacturer")) copy(t->manufacturer, sizeof t->manufacturer, value);
  else if (!strcmp(key, "model")) copy(t->model, sizeof t->model, value);
  else if (!strcmp(key, "hardware")) copy(t->hardware, sizeof t->hardware, value);
  else if (!strcmp(key, "firmware")) copy(t->firmware, sizeof t->firmware, value);
  else if (!strcmp(key, "pin_tries")) t->pin_tries = atoi(value);
  else if (!strcmp(key, "flags"))
    t->flags = !strcmp(value, "never") ? FLAGS_NEVER : !strcmp(value, "process") ? FLAGS_PROCESS : FLAGS_HONEST;
  else if (!strcmp(key, "wrong_pin")) t->wrong_pin_general = !strcmp(value, "GENERAL_ERROR");
  else if (!strcmp(key, "pin_pad")) t->pin_pad = yes;
  else if (!strcmp(key, "pad_pin")) copy(t->pad_pin, sizeof t->pad_pin, value);
  else if (!strcmp(key, "pad_cancelled")) t->pad_cancelled = yes;
  else if (!strcmp(key, "write_protected")) t->write_protected = strcmp(value, "no") != 0, t->write_protected_quiet = !strcmp(value, "quiet"), t->write_protected_late = !strcmp(value, "late");
  else if (!strcmp(key, "empty_id")) t->empty_id = yes;
  else if (!strcmp(key, "own_id")) t->own_id = strcmp(value, "no") != 0, copy(t->named, sizeof t->named, yes ? "" : value);
  else if (!strcmp(key, "own_label")) t->own_label = yes;
  else if (!strcmp(key, "value_search")) t->no_value_search = !yes;
  else if (!strcmp(key, "sha256_rsa")) t->no_sha256_rsa = !yes;
  else if (!strcmp(key, "always_authenticate")) t->only_new_asks = !strcmp(value, "new"), t->always_authenticate = yes || t->only_new_asks;
  else if (!strcmp(key, "free_public")) t->free_public = atol(value);
  else if (!strcmp(key, "turns_into")) copy(t->turns_into, sizeof t->turns_into, value);
  else if (!strcmp(key, "hidden")) t->hidden = yes;
  else if (!strcmp(key, "pull")) t->pull = atoi(value);
  else if (!strcmp(key, "plug")) t->plug = atoi(value);
}

/* "C_Login C_Sign": only these are shown to the gate. */
static void watch(const char *names) {
  char one[64];
  int used = 0;
  memset(conf.unwatched, true, sizeof conf.unwatched);
  for (; sscanf(names, "%63s%n", one, &used) == 1; names += used)
    if (function_of(one) >= 0) conf.unwatched[function_of(one)] = false;
}

static void setting(struct traits *token, const char *key, const char *value) {
  char function[64];
  unsigned long number = 0;
  int used = 0;
  if (!strcmp(key, "forward")) copy(conf.forward, sizeof conf.forward, value);
  else if (!strcmp(key, "log")) copy(conf.log, sizeof conf.log, value);
  else if (!strcmp(key, "gate")) copy(conf.gate, sizeof conf.gate, value);
  else if (!strcmp(key, "watch")) watch(value);
  else if (!strcmp(key, "prints")) conf.prints = !strcmp(value, "yes");
  else if (!strcmp(key, "signals")) conf.signals = !strcmp(value, "yes");
  else if (!strcmp(key, "locking")) conf.no_locking = !strcmp(value, "no");
  else if (!strcmp(key, "fault") && conf.rule_count < RULES &&
           sscanf(value, "%63s %lu %n", function, &number, &used) == 2)
    conf.rules[conf.rule_count++] = (struct rule){function_of(function), number, order_of(value + used)};
  else if (!strcmp(key, "latency") && conf.latency_count < RULES && sscanf(value, "%63s %lu", function, &number) == 2)
    conf.latencies[conf.latency_count++] = (struct latency){function_of(function), (long)number};
  else token_setting(token, key, value);
}

static void read_file(void) {
  FILE *file = fopen(conf.path, "re");
  char line[4400], key[64];
  struct traits *token = &conf.all;
  if (!file) return;
  conf.rule_count = conf.latency_count = conf.own_count = 0;
  conf.prints = conf.signals = conf.no_locking = false;
  conf.log[0] = conf.gate[0] = 0;
  memset(conf.unwatched, 0, sizeof conf.unwatched);
  conf.all = (struct traits){.free_public = -1};
  while (fgets(line, sizeof line, file)) {
    int value = 0;
    line[strcspn(line, "\r\n")] = 0;
    if (line[0] == '[' && conf.own_count < TOKENS) {
      token = &conf.own[conf.own_count++];
      *token = conf.all;
      line[strcspn(line, "]")] = 0;
      copy(token->serial, sizeof token->serial, line + 1);
    } else if (sscanf(line, " %63[a-z_0-9] = %n", key, &value) == 1 && value) {
      setting(token, key, line + value);
    }
  }
  fclose(file);
}

static void map_state(void) {
  char path[4200];
  snprintf(path, sizeof path, "%s.state", conf.path);
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd >= 0 && !ftruncate(fd, sizeof *shared)) {
    void *at = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at != MAP_FAILED) shared = at;
  }
  if (fd >= 0) close(fd);
  if (!shared) shared = calloc(1, sizeof *shared);
}

void steer_load(void) {
  struct stat now;
  pthread_mutex_lock(&lock);
  if (!conf.path[0]) {
    const char *path = getenv("SAFETOK_SIMULATOR");
    copy(conf.path, sizeof conf.path, path ? path : "/nonexistent");
    map_state();
  }
  if (!stat(conf.path, &now) && (now.st_ino != conf.file || now.st_size != conf.size ||
                                 now.st_mtim.tv_sec != conf.changed.tv_sec || now.st_mtim.tv_nsec != conf.changed.tv_nsec)) {
    conf.changed = now.st_mtim;
    conf.size = now.st_size;
    conf.file = now.st_ino;
    read_file();
  }
  pthread_mutex_unlock(&lock);
}

const char *forward_path(void) { return conf.forward[0] ? conf.forward : NULL; }
bool knob_prints(void) { return conf.prints; }
bool knob_signals(void) { return conf.signals; }
bool knob_no_locking(void) { return conf.no_locking; }

struct traits *traits_of(const char *serial) {
  for (int i = 0; i < conf.own_count; i++)
    if (!strcmp(conf.own[i].serial, serial)) return &conf.own[i];
  return &conf.all;
}

struct token_state *state_of(const char *serial) {
  struct token_state *found = &shared->tokens[TOKENS - 1];
  pthread_mutex_lock(&lock);
  for (int i = 0; i < TOKENS; i++) {
    struct token_state *one = &shared->tokens[i];
    if (!one->serial[0]) copy(one->serial, sizeof one->serial, serial);
    if (!strcmp(one->serial, serial)) {
      found = one;
      break;
    }
  }
  pthread_mutex_unlock(&lock);
  return found;
}

/* Carries out what the file orders since the last look (`pull = 1` pulls it out once, `plug = 1` puts it in again). */
bool present(struct token_state *state, struct traits *traits) {
  if (traits->pull > state->pull) state->removed = 1, state->pull = traits->pull;
  if (traits->plug > state->plug) {
    if (state->removed) state->insertions++;
    state->removed = 0, state->plug = traits->plug;
  }
  return !state->removed;
}

static void note(const char *text) {
  if (!conf.log[0]) return;
  int fd = open(conf.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return;
  if (write(fd, text, strlen(text)) < 0) perror("simulator log");
  close(fd);
}

/* Tells the listener at the gate and waits for its word; without one, or when it has gone, the call goes on. */
static struct order ask_gate(int function, const char *text) {
  struct order order = {GO, 0};
  char reply[128];
  size_t have = 0;
  if (!conf.gate[0] || conf.unwatched[function]) return order;
  if (gate_fd < 0) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    copy(address.sun_path, sizeof address.sun_path, conf.gate);
    gate_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (gate_fd < 0 || connect(gate_fd, (struct sockaddr *)&address, sizeof address)) {
      close(gate_fd);
      gate_fd = -1;
      return order;
    }
  }
  if (send(gate_fd, text, strlen(text), MSG_NOSIGNAL) < 0) return order;
  while (have < sizeof reply - 1) {
    ssize_t got = read(gate_fd, reply + have, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return order;
    if (reply[have] == '\n') break;
    have++;
  }
  reply[have] = 0;
  return order_of(reply);
}

static void wait_milliseconds(long milliseconds) {
  struct timespec left = {milliseconds / 1000, milliseconds % 1000 * 1000000};
  while (milliseconds > 0 && nanosleep(&left, &left) && errno == EINTR) continue;
}

struct order call_begins(int function, uint64_t *number) {
  char text[160];
  steer_load();
  *number = __atomic_add_fetch(&shared->calls, 1, __ATOMIC_SEQ_CST);
  uint64_t own = __atomic_add_fetch(&shared->per_function[function], 1, __ATOMIC_SEQ_CST);
  snprintf(text, sizeof text, "%lu %d %s begin\n", (unsigned long)*number, getpid(), function_names[function]);
  note(text);
  struct order order = ask_gate(function, text);
  for (int i = 0; i < conf.latency_count; i++)
    if (conf.latencies[i].function == -1 || conf.latencies[i].function == function)
      wait_milliseconds(conf.latencies[i].milliseconds);
  for (int i = 0; order.action == GO && i < conf.rule_count; i++) {
    const struct rule *rule = &conf.rules[i];
    bool due = !rule->nth || rule->nth == (rule->function == -1 ? *number : own);
    if (due && (rule->function == -1 || rule->function == function)) order = rule->order;
  }
  return order;
}

struct order call_ends(int function, uint64_t number, CK_RV answer) {
  char text[160];
  snprintf(text, sizeof text, "%lu %d %s end 0x%lx\n", (unsigned long)number, getpid(), function_names[function],
           answer);
  note(text);
  return ask_gate(function, text);
}

void carry_out(struct order order) {
  if (order.action == CRASH || order.action == CRASH_AFTER) {
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
  }
  while (order.action == HANG || order.action == HANG_AFTER) pause();
}
