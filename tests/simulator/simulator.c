/* A PKCS#11 driver that forwards to another (SoftHSM) and adds what real tokens do and SoftHSM cannot.

   Steered by the file that SAFETOK_SIMULATOR names: one `key = value` a line; see tests/support_simulator.py for every key.
   Not thread-safe beyond what its callers need: one thread for each token. */
#include "steer.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SLOTS = 512, SESSIONS = 1024 };

/* Places of the functions in CK_FUNCTION_LIST (PKCS#11 2.40), as `function_names` has them. */
enum {
  Initialize = 0, Finalize = 1, GetInfo = 2, GetSlotList = 4, GetSlotInfo = 5, GetTokenInfo = 6, GetMechanismList = 7,
  GetMechanismInfo = 8, SetPIN = 11, OpenSession = 12, CloseSession = 13, CloseAllSessions = 14, GetSessionInfo = 15,
  Login = 18, Logout = 19, CreateObject = 20, DestroyObject = 22, GetAttributeValue = 24, SetAttributeValue = 25,
  FindObjectsInit = 26, FindObjects = 27, FindObjectsFinal = 28, SignInit = 42, Sign = 43, SignUpdate = 44,
  SignFinal = 45, GenerateKeyPair = 59, GenerateRandom = 64
};

struct slot {
  bool used;
  CK_SLOT_ID id;
  char serial[17];
  unsigned insertions; /* of the token when this process last opened a session on it */
  unsigned told;       /* 1 + insertions at the removal whose general error was given */
  int failed_here;     /* wrong PINs of this process */
  char pin[64];
  size_t pin_length;
};

struct session {
  bool used;
  CK_SESSION_HANDLE handle;
  struct slot *slot;
  unsigned insertions;
  bool finds_nothing, wants_login;
};

struct place {
  enum { NOWHERE, AT_SLOT, AT_SESSION } kind;
  struct slot *slot;
  struct session *session;
};

static CK_FUNCTION_LIST_PTR real;
static CK_FUNCTION_LIST list;
static struct slot slots[SLOTS];
static struct session sessions[SESSIONS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const struct place nowhere = {NOWHERE, NULL, NULL};

static void trimmed(char *to, const unsigned char *from, size_t size) {
  while (size && (from[size - 1] == ' ' || !from[size - 1])) size--;
  memcpy(to, from, size);
  to[size] = 0;
}

static void padded(unsigned char *to, size_t size, const char *from) {
  size_t length = strlen(from) < size ? strlen(from) : size;
  memset(to, ' ', size);
  memcpy(to, from, length);
}

static struct slot *slot_of(CK_SLOT_ID id) {
  struct slot *found = NULL;
  pthread_mutex_lock(&lock);
  for (int i = 0; i < SLOTS && !found; i++) {
    if (!slots[i].used) {
      CK_TOKEN_INFO info;
      slots[i] = (struct slot){.used = true, .id = id};
      if (real->C_GetTokenInfo(id, &info) == CKR_OK) trimmed(slots[i].serial, info.serialNumber, 16);
      if (slots[i].serial[0]) slots[i].insertions = state_of(slots[i].serial)->insertions;
    }
    if (slots[i].id == id) found = &slots[i];
  }
  pthread_mutex_unlock(&lock);
  return found ? found : &slots[SLOTS - 1];
}

static struct traits *traits(struct slot *slot) { return traits_of(slot->serial); }
static struct token_state *state(struct slot *slot) { return state_of(slot->serial); }
static bool is_in(struct slot *slot) { return !slot->serial[0] || present(state(slot), traits(slot)); }

static struct place at_slot(CK_SLOT_ID id) { return (struct place){AT_SLOT, slot_of(id), NULL}; }

static struct place at_session(CK_SESSION_HANDLE handle) {
  for (int i = 0; i < SESSIONS; i++)
    if (sessions[i].used && sessions[i].handle == handle)
      return (struct place){AT_SESSION, sessions[i].slot, &sessions[i]};
  return nowhere;
}

static struct session *new_session(void) {
  pthread_mutex_lock(&lock);
  for (int i = 0; i < SESSIONS; i++)
    if (!sessions[i].used) {
      sessions[i] = (struct session){.used = true};
      pthread_mutex_unlock(&lock);
      return &sessions[i];
    }
  pthread_mutex_unlock(&lock);
  abort();
}

static void pull_out(struct place place) {
  for (int i = 0; i < SLOTS; i++)
    if (slots[i].used && slots[i].serial[0] && (!place.slot || place.slot == &slots[i])) state(&slots[i])->removed = 1;
}

/* Another token into this slot, between two calls: sessions on the one before are dead. */
static void swap(struct place place) {
  for (int i = 0; i < SLOTS; i++)
    if (slots[i].used && traits(&slots[i])->turns_into[0] && (!place.slot || place.slot == &slots[i]))
      state(&slots[i])->swapped = 1, state(&slots[i])->insertions++;
}

/* The slot behind: the token's own, or of the one that stands in its place. */
static CK_SLOT_ID behind(CK_SLOT_ID id) {
  struct slot *slot = slot_of(id);
  if (!slot->serial[0] || !state(slot)->swapped) return id;
  for (int i = 0; i < SLOTS; i++)
    if (slots[i].used && !strcmp(slots[i].serial, traits(slot)->turns_into)) return slots[i].id;
  return id;
}

static void put_in(void) {
  for (int i = 0; i < TOKENS; i++)
    if (shared->tokens[i].removed) shared->tokens[i].insertions++, shared->tokens[i].removed = 0;
}

/* What the standard's removed token says: a general error at the call it happened in, DEVICE_REMOVED after, and to old
   sessions SESSION_HANDLE_INVALID once it is in again. */
static CK_RV gone(struct place place) {
  struct slot *slot = place.slot;
  if (!slot || !slot->serial[0]) return CKR_OK;
  unsigned insertions = state(slot)->insertions;
  if (place.kind == AT_SESSION && place.session->insertions != insertions) return CKR_SESSION_HANDLE_INVALID;
  if (is_in(slot)) return CKR_OK;
  if (place.kind == AT_SLOT) return CKR_TOKEN_NOT_PRESENT;
  if (slot->told == insertions + 1) return CKR_DEVICE_REMOVED;
  slot->told = insertions + 1;
  return CKR_GENERAL_ERROR;
}

static CK_RV follow(struct order order, struct place place) {
  switch (order.action) {
    case CRASH: case HANG: carry_out(order); break;
    case REMOVE: pull_out(place); break;
    case INSERT: put_in(); break;
    case SWAP: swap(place); break;
    case RETURN: return order.argument;
    default: break;
  }
  return gone(place);
}

static CK_RV leave(int function, uint64_t number, struct order order, struct place place, CK_RV answer) {
  if (order.action == REMOVE_AFTER) pull_out(place), answer = gone(place);
  if (order.action == SWAP_AFTER) swap(place);
  carry_out(order);
  order = call_ends(function, number, answer);
  if (order.action == REMOVE) pull_out(place), answer = gone(place);
  else if (order.action == RETURN) answer = order.argument;
  carry_out(order);
  return answer;
}

#define CALL(function, where, work)                                        \
  do {                                                                     \
    uint64_t number_;                                                      \
    struct order order = call_begins(function, &number_);                  \
    struct place place = where;                                            \
    CK_RV answer = follow(order, place);                                   \
    if (knob_prints() && write(1, "driver says hello\n", 18) < 0) abort(); \
    if (answer == CKR_OK) answer = (work);                                 \
    return leave(function, number_, order, place, answer);                 \
  } while (0)

/* --- the module ---------------------------------------------------------------------------------------------------- */

static void meddle(int number) {
  if (write(1, "driver took a signal\n", 21) < 0 || number < 0) abort();
}

static CK_RV initialize(void *given) {
  CK_C_INITIALIZE_ARGS *arguments = given;
  memset(slots, 0, sizeof slots);
  memset(sessions, 0, sizeof sessions);
  if (knob_no_locking() && arguments && arguments->flags & CKF_OS_LOCKING_OK) return CKR_CANT_LOCK;
  if (knob_signals()) {
    const int taken[] = {SIGINT, SIGTERM, SIGPIPE, SIGALRM, SIGCHLD, SIGHUP};
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) signal(taken[i], meddle);
  }
  return real->C_Initialize(given);
}

static CK_RV s_initialize(void *given) { CALL(Initialize, nowhere, initialize(given)); }
static CK_RV s_finalize(void *given) { CALL(Finalize, nowhere, real->C_Finalize(given)); }
static CK_RV s_get_info(CK_INFO *info) { CALL(GetInfo, nowhere, real->C_GetInfo(info)); }

static CK_RV slot_list(unsigned char token_present, CK_SLOT_ID *to, CK_ULONG *count) {
  CK_SLOT_ID found[SLOTS];
  CK_ULONG total = SLOTS, kept = 0;
  CK_RV answer = real->C_GetSlotList(token_present, NULL, &total);
  if (answer == CKR_OK) total = SLOTS, answer = real->C_GetSlotList(token_present, found, &total);
  if (answer != CKR_OK) return answer;
  for (CK_ULONG i = 0; i < total; i++)
    if (!traits(slot_of(found[i]))->hidden && (!token_present || is_in(slot_of(found[i])))) found[kept++] = found[i];
  if (to && *count < kept) answer = CKR_BUFFER_TOO_SMALL;
  else if (to) memcpy(to, found, kept * sizeof *found);
  *count = kept;
  return answer;
}

static CK_RV s_get_slot_list(unsigned char token_present, CK_SLOT_ID *to, CK_ULONG *count) {
  CALL(GetSlotList, nowhere, slot_list(token_present, to, count));
}

static CK_RV slot_info(CK_SLOT_ID id, CK_SLOT_INFO *info) {
  CK_RV answer = real->C_GetSlotInfo(id, info);
  if (answer == CKR_OK && !is_in(slot_of(id))) info->flags &= ~(CK_FLAGS)CKF_TOKEN_PRESENT;
  return answer;
}

static CK_RV s_get_slot_info(CK_SLOT_ID id, CK_SLOT_INFO *info) { CALL(GetSlotInfo, nowhere, slot_info(id, info)); }

static CK_FLAGS pin_flags(struct slot *slot) {
  struct traits *t = traits(slot);
  int failed = state(slot)->failed, left = t->pin_tries - failed;
  if (t->flags == FLAGS_NEVER || !failed || (t->flags == FLAGS_PROCESS && !slot->failed_here)) return 0;
  if (left <= 0) return CKF_USER_PIN_LOCKED;
  return CKF_USER_PIN_COUNT_LOW | (left == 1 ? CKF_USER_PIN_FINAL_TRY : 0);
}

static void version(CK_VERSION *to, const char *text) {
  unsigned major = 0, minor = 0;
  if (sscanf(text, "%u.%u", &major, &minor) == 2) to->major = (unsigned char)major, to->minor = (unsigned char)minor;
}

static CK_RV token_info(CK_SLOT_ID id, CK_TOKEN_INFO *info) {
  struct slot *slot = slot_of(id);
  struct traits *t = traits(slot);
  CK_RV answer = real->C_GetTokenInfo(id, info);
  if (answer != CKR_OK || !slot->serial[0]) return answer;
  if (t->manufacturer[0]) padded(info->manufacturerID, 32, t->manufacturer);
  if (t->model[0]) padded(info->model, 16, t->model);
  version(&info->hardwareVersion, t->hardware);
  version(&info->firmwareVersion, t->firmware);
  if (t->pin_tries || t->flags != FLAGS_HONEST) {
    info->flags &= ~(CK_FLAGS)(CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED);
    if (t->pin_tries) info->flags |= pin_flags(slot);
  }
  if (t->pin_pad) info->flags |= CKF_PROTECTED_AUTHENTICATION_PATH;
  if (t->write_protected && !t->write_protected_quiet) info->flags |= CKF_WRITE_PROTECTED;
  if (t->free_public >= 0) info->ulFreePublicMemory = (CK_ULONG)t->free_public;
  return CKR_OK;
}

static CK_RV s_get_token_info(CK_SLOT_ID id, CK_TOKEN_INFO *info) {
  CALL(GetTokenInfo, at_slot(id), token_info(behind(id), info));
}

static CK_RV mechanisms(CK_SLOT_ID id, CK_MECHANISM_TYPE *to, CK_ULONG *count) {
  CK_MECHANISM_TYPE found[SLOTS];
  CK_ULONG total = SLOTS, kept = 0;
  CK_RV answer = real->C_GetMechanismList(id, found, &total);
  if (answer != CKR_OK) return answer;
  for (CK_ULONG i = 0; i < total; i++)
    if (found[i] != CKM_SHA256_RSA_PKCS || !traits(slot_of(id))->no_sha256_rsa) found[kept++] = found[i];
  if (to && *count < kept) answer = CKR_BUFFER_TOO_SMALL;
  else if (to) memcpy(to, found, kept * sizeof *found);
  *count = kept;
  return answer;
}

static CK_RV s_get_mechanism_list(CK_SLOT_ID id, CK_MECHANISM_TYPE *to, CK_ULONG *count) {
  CALL(GetMechanismList, at_slot(id), mechanisms(behind(id), to, count));
}

static CK_RV mechanism_info(CK_SLOT_ID id, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *info) {
  if (type == CKM_SHA256_RSA_PKCS && traits(slot_of(id))->no_sha256_rsa) return CKR_MECHANISM_INVALID;
  return real->C_GetMechanismInfo(id, type, info);
}

static CK_RV s_get_mechanism_info(CK_SLOT_ID id, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *info) {
  CALL(GetMechanismInfo, at_slot(id), mechanism_info(id, type, info));
}

/* --- sessions and the PIN ------------------------------------------------------------------------------------------- */

static CK_RV open_session(CK_SLOT_ID id, CK_FLAGS flags, void *data, CK_NOTIFY notify, CK_SESSION_HANDLE *to) {
  struct slot *slot = slot_of(id);
  struct traits *t = traits(slot);
  unsigned insertions = slot->serial[0] ? state(slot)->insertions : 0;
  if (t->write_protected && !t->write_protected_quiet && !t->write_protected_late && flags & CKF_RW_SESSION) return CKR_TOKEN_WRITE_PROTECTED;
  if (slot->insertions != insertions) { /* it was out: nobody is logged in to it any more */
    real->C_CloseAllSessions(id);
    slot->insertions = insertions;
  }
  CK_RV answer = real->C_OpenSession(id, flags, data, notify, to);
  if (answer == CKR_OK) {
    struct session *session = new_session();
    session->handle = *to, session->slot = slot, session->insertions = insertions;
  }
  return answer;
}

static CK_RV s_open_session(CK_SLOT_ID id, CK_FLAGS flags, void *data, CK_NOTIFY notify, CK_SESSION_HANDLE *to) {
  CALL(OpenSession, at_slot(id), open_session(behind(id), flags, data, notify, to));
}

static CK_RV close_session(struct session *session, CK_SESSION_HANDLE handle) {
  if (session) session->used = false;
  return real->C_CloseSession(handle);
}

static CK_RV s_close_session(CK_SESSION_HANDLE handle) {
  CALL(CloseSession, at_session(handle), close_session(place.session, handle));
}

static CK_RV close_all(CK_SLOT_ID id) {
  for (int i = 0; i < SESSIONS; i++)
    if (sessions[i].used && sessions[i].slot->id == id) sessions[i].used = false;
  return real->C_CloseAllSessions(id);
}

static CK_RV s_close_all_sessions(CK_SLOT_ID id) { CALL(CloseAllSessions, at_slot(id), close_all(id)); }

static CK_RV s_get_session_info(CK_SESSION_HANDLE handle, CK_SESSION_INFO *info) {
  CALL(GetSessionInfo, at_session(handle), real->C_GetSessionInfo(handle, info));
}

/* One PIN entry: the counter goes down before the PIN is looked at, and up again when it was right. */
static CK_RV counted(struct slot *slot, CK_RV answer_when_open, bool entered) {
  struct token_state *s = state(slot);
  if (answer_when_open == CKR_OK) s->failed = 0, slot->failed_here = 0;
  else if (answer_when_open == CKR_PIN_INCORRECT) slot->failed_here++;
  else if (entered) s->failed--;
  return answer_when_open == CKR_PIN_INCORRECT && traits(slot)->wrong_pin_general ? CKR_GENERAL_ERROR : answer_when_open;
}

static bool locked(struct slot *slot) {
  int tries = traits(slot)->pin_tries;
  if (tries && state(slot)->failed >= tries) return true;
  state(slot)->failed++;
  return false;
}

static CK_RV login(struct session *session, CK_SESSION_HANDLE handle, CK_USER_TYPE user, unsigned char *pin, CK_ULONG length) {
  struct slot *slot = session ? session->slot : NULL;
  if (!slot || user == CKU_SO) return real->C_Login(handle, user, pin, length);
  struct traits *t = traits(slot);
  if (t->pin_pad && !pin) {
    if (t->pad_cancelled) return CKR_FUNCTION_CANCELED;
    pin = (unsigned char *)t->pad_pin, length = strlen(t->pad_pin);
  }
  if (user == CKU_CONTEXT_SPECIFIC && t->always_authenticate) {
    if (!session->wants_login) return CKR_OPERATION_NOT_INITIALIZED;
    if (locked(slot)) return CKR_PIN_LOCKED;
    if (!pin || length != slot->pin_length || memcmp(pin, slot->pin, length)) return counted(slot, CKR_PIN_INCORRECT, true);
    session->wants_login = false;
    return counted(slot, CKR_OK, true);
  }
  if (locked(slot)) return CKR_PIN_LOCKED;
  CK_RV answer = real->C_Login(handle, user, pin, length);
  if (answer == CKR_OK && length < sizeof slot->pin) memcpy(slot->pin, pin, length), slot->pin_length = length;
  return counted(slot, answer, true);
}

static CK_RV s_login(CK_SESSION_HANDLE handle, CK_USER_TYPE user, unsigned char *pin, CK_ULONG length) {
  CALL(Login, at_session(handle), login(place.session, handle, user, pin, length));
}

static CK_RV s_logout(CK_SESSION_HANDLE handle) { CALL(Logout, at_session(handle), real->C_Logout(handle)); }

static CK_RV set_pin(struct slot *slot, CK_SESSION_HANDLE handle, unsigned char *old, CK_ULONG old_length,
                     unsigned char *new, CK_ULONG new_length) {
  if (!slot) return real->C_SetPIN(handle, old, old_length, new, new_length);
  struct traits *t = traits(slot);
  if (t->pin_pad && !old) {
    if (t->pad_cancelled) return CKR_FUNCTION_CANCELED;
    old = new = (unsigned char *)t->pad_pin, old_length = new_length = strlen(t->pad_pin);
  }
  if (locked(slot)) return CKR_PIN_LOCKED;
  return counted(slot, real->C_SetPIN(handle, old, old_length, new, new_length), true);
}

static CK_RV s_set_pin(CK_SESSION_HANDLE handle, unsigned char *old, CK_ULONG old_length, unsigned char *new,
                       CK_ULONG new_length) {
  CALL(SetPIN, at_session(handle), set_pin(place.slot, handle, old, old_length, new, new_length));
}

/* --- objects -------------------------------------------------------------------------------------------------------- */

static bool writable(struct slot *slot) { return !slot || !traits(slot)->write_protected; }

static CK_RV create(struct order order, struct slot *slot, CK_SESSION_HANDLE handle, CK_ATTRIBUTE *given, CK_ULONG count,
                    CK_OBJECT_HANDLE *to) {
  CK_ATTRIBUTE own[64];
  if (!writable(slot)) return CKR_TOKEN_WRITE_PROTECTED;
  if (count > 64) return CKR_ARGUMENTS_BAD;
  memcpy(own, given, count * sizeof *given);
  for (CK_ULONG i = 0; order.action == TRUNCATE && i < count; i++)
    if (own[i].type == CKA_VALUE && own[i].ulValueLen > order.argument) own[i].ulValueLen = order.argument;
  return real->C_CreateObject(handle, own, count, to);
}

static CK_RV s_create_object(CK_SESSION_HANDLE handle, CK_ATTRIBUTE *given, CK_ULONG count, CK_OBJECT_HANDLE *to) {
  CALL(CreateObject, at_session(handle), create(order, place.slot, handle, given, count, to));
}

static CK_RV s_destroy_object(CK_SESSION_HANDLE handle, CK_OBJECT_HANDLE object) {
  CALL(DestroyObject, at_session(handle),
       writable(place.slot) ? real->C_DestroyObject(handle, object) : CKR_TOKEN_WRITE_PROTECTED);
}

/* Whether a key wants its PIN each time: all of them do, or only those that safetok made. */
static bool asks(struct traits *t, CK_SESSION_HANDLE handle, CK_OBJECT_HANDLE object) {
  char label[64] = "";
  CK_ATTRIBUTE read = {CKA_LABEL, label, sizeof label - 1};
  if (!t->always_authenticate || !t->only_new_asks) return t->always_authenticate;
  return real->C_GetAttributeValue(handle, object, &read, 1) == CKR_OK && !strncmp(label, "safetok ", 8);
}

static CK_RV get_attributes(struct slot *slot, CK_SESSION_HANDLE handle, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *to,
                            CK_ULONG count) {
  CK_RV answer = real->C_GetAttributeValue(handle, object, to, count);
  struct traits *t = slot ? traits(slot) : NULL;
  for (CK_ULONG i = 0; t && i < count; i++) {
    if (t->empty_id && to[i].type == CKA_ID) to[i].ulValueLen = 0;
    if (to[i].type == CKA_ALWAYS_AUTHENTICATE && to[i].pValue && to[i].ulValueLen == 1 && asks(t, handle, object))
      *(unsigned char *)to[i].pValue = 1;
  }
  return answer;
}

static CK_RV s_get_attribute_value(CK_SESSION_HANDLE handle, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *to, CK_ULONG count) {
  CALL(GetAttributeValue, at_session(handle), get_attributes(place.slot, handle, object, to, count));
}

static CK_RV s_set_attribute_value(CK_SESSION_HANDLE handle, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *given, CK_ULONG count) {
  CALL(SetAttributeValue, at_session(handle),
       writable(place.slot) ? real->C_SetAttributeValue(handle, object, given, count) : CKR_TOKEN_WRITE_PROTECTED);
}

static CK_RV find_init(struct session *session, CK_SESSION_HANDLE handle, CK_ATTRIBUTE *given, CK_ULONG count) {
  struct traits *t = session ? traits(session->slot) : NULL;
  if (session) session->finds_nothing = false;
  for (CK_ULONG i = 0; t && i < count; i++) {
    if (t->no_value_search && (given[i].type == CKA_VALUE || given[i].type == CKA_MODULUS || given[i].type == CKA_EC_POINT))
      session->finds_nothing = true;
    if (t->empty_id && given[i].type == CKA_ID) session->finds_nothing = true;
  }
  return real->C_FindObjectsInit(handle, given, count);
}

static CK_RV s_find_objects_init(CK_SESSION_HANDLE handle, CK_ATTRIBUTE *given, CK_ULONG count) {
  CALL(FindObjectsInit, at_session(handle), find_init(place.session, handle, given, count));
}

static CK_RV find(struct session *session, CK_SESSION_HANDLE handle, CK_OBJECT_HANDLE *to, CK_ULONG room, CK_ULONG *count) {
  CK_RV answer = real->C_FindObjects(handle, to, room, count);
  if (answer == CKR_OK && session && session->finds_nothing) *count = 0;
  return answer;
}

static CK_RV s_find_objects(CK_SESSION_HANDLE handle, CK_OBJECT_HANDLE *to, CK_ULONG room, CK_ULONG *count) {
  CALL(FindObjects, at_session(handle), find(place.session, handle, to, room, count));
}

static CK_RV s_find_objects_final(CK_SESSION_HANDLE handle) {
  CALL(FindObjectsFinal, at_session(handle), real->C_FindObjectsFinal(handle));
}

/* --- signing and keys ----------------------------------------------------------------------------------------------- */

static CK_RV sign_init(struct session *session, CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key) {
  struct traits *t = session ? traits(session->slot) : NULL;
  if (t && t->no_sha256_rsa && mechanism->mechanism == CKM_SHA256_RSA_PKCS) return CKR_MECHANISM_INVALID;
  CK_RV answer = real->C_SignInit(handle, mechanism, key);
  if (answer == CKR_OK && t && asks(t, handle, key)) session->wants_login = true;
  return answer;
}

static CK_RV s_sign_init(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key) {
  CALL(SignInit, at_session(handle), sign_init(place.session, handle, mechanism, key));
}

static CK_RV sign(struct session *session, CK_SESSION_HANDLE handle, unsigned char *data, CK_ULONG length,
                  unsigned char *to, CK_ULONG *room) {
  if (!session || !session->wants_login) return real->C_Sign(handle, data, length, to, room);
  unsigned char wasted[4096]; /* ends the operation behind, as a refusal ends it on a token */
  CK_ULONG wasted_length = sizeof wasted;
  real->C_Sign(handle, data, length, wasted, &wasted_length);
  session->wants_login = false;
  return CKR_USER_NOT_LOGGED_IN;
}

static CK_RV s_sign(CK_SESSION_HANDLE handle, unsigned char *data, CK_ULONG length, unsigned char *to, CK_ULONG *room) {
  CALL(Sign, at_session(handle), sign(place.session, handle, data, length, to, room));
}

static CK_RV s_sign_update(CK_SESSION_HANDLE handle, unsigned char *data, CK_ULONG length) {
  CALL(SignUpdate, at_session(handle), real->C_SignUpdate(handle, data, length));
}

static CK_RV s_sign_final(CK_SESSION_HANDLE handle, unsigned char *to, CK_ULONG *room) {
  CALL(SignFinal, at_session(handle), real->C_SignFinal(handle, to, room));
}

/* The template with the token's own CKA_ID and CKA_LABEL, where it insists on them. */
static void renamed(struct traits *t, CK_ATTRIBUTE *own, CK_ULONG count, char *id) {
  for (CK_ULONG i = 0; i < count; i++) {
    if (t->own_id && own[i].type == CKA_ID) own[i].pValue = id, own[i].ulValueLen = strlen(id);
    if (t->own_label && own[i].type == CKA_LABEL) own[i].pValue = "container", own[i].ulValueLen = 9;
  }
}

static CK_RV generate(struct slot *slot, CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism, CK_ATTRIBUTE *public,
                      CK_ULONG publics, CK_ATTRIBUTE *private, CK_ULONG privates, CK_OBJECT_HANDLE *public_to,
                      CK_OBJECT_HANDLE *private_to) {
  CK_ATTRIBUTE own_public[64], own_private[64];
  char id[33];
  if (!writable(slot)) return CKR_TOKEN_WRITE_PROTECTED;
  if (publics > 64 || privates > 64) return CKR_ARGUMENTS_BAD;
  memcpy(own_public, public, publics * sizeof *public);
  memcpy(own_private, private, privates * sizeof *private);
  if (slot) {
    if (traits(slot)->named[0]) snprintf(id, sizeof id, "%s", traits(slot)->named);
    else snprintf(id, sizeof id, "KEY%05lu", (unsigned long)(shared->calls % 100000));
    renamed(traits(slot), own_public, publics, id);
    renamed(traits(slot), own_private, privates, id);
  }
  return real->C_GenerateKeyPair(handle, mechanism, own_public, publics, own_private, privates, public_to, private_to);
}

static CK_RV s_generate_key_pair(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism, CK_ATTRIBUTE *public, CK_ULONG publics,
                                 CK_ATTRIBUTE *private, CK_ULONG privates, CK_OBJECT_HANDLE *public_to,
                                 CK_OBJECT_HANDLE *private_to) {
  CALL(GenerateKeyPair, at_session(handle),
       generate(place.slot, handle, mechanism, public, publics, private, privates, public_to, private_to));
}

static CK_RV s_generate_random(CK_SESSION_HANDLE handle, unsigned char *to, CK_ULONG count) {
  CALL(GenerateRandom, at_session(handle), real->C_GenerateRandom(handle, to, count));
}

static CK_RV s_wait_for_slot_event(CK_FLAGS flags, CK_SLOT_ID *slot, void *reserved) {
  return real->C_WaitForSlotEvent(flags, slot, reserved);
}

static CK_RV s_get_function_list(CK_FUNCTION_LIST **to) {
  *to = &list;
  return CKR_OK;
}

static CK_RV load(void) {
  if (real) return CKR_OK;
  steer_load();
  void *behind = forward_path() ? dlopen(forward_path(), RTLD_NOW | RTLD_LOCAL) : NULL;
  CK_C_GetFunctionList get = behind ? (CK_C_GetFunctionList)dlsym(behind, "C_GetFunctionList") : NULL;
  if (!get) return CKR_GENERAL_ERROR;
  CK_RV answer = get(&real);
  if (answer != CKR_OK) return answer;
  list = *real;
  list.C_GetFunctionList = s_get_function_list;
  list.C_Initialize = s_initialize;
  list.C_Finalize = s_finalize;
  list.C_GetInfo = s_get_info;
  list.C_GetSlotList = s_get_slot_list;
  list.C_GetSlotInfo = s_get_slot_info;
  list.C_GetTokenInfo = s_get_token_info;
  list.C_GetMechanismList = s_get_mechanism_list;
  list.C_GetMechanismInfo = s_get_mechanism_info;
  list.C_OpenSession = s_open_session;
  list.C_CloseSession = s_close_session;
  list.C_CloseAllSessions = s_close_all_sessions;
  list.C_GetSessionInfo = s_get_session_info;
  list.C_Login = s_login;
  list.C_Logout = s_logout;
  list.C_SetPIN = s_set_pin;
  list.C_CreateObject = s_create_object;
  list.C_DestroyObject = s_destroy_object;
  list.C_GetAttributeValue = s_get_attribute_value;
  list.C_SetAttributeValue = s_set_attribute_value;
  list.C_FindObjectsInit = s_find_objects_init;
  list.C_FindObjects = s_find_objects;
  list.C_FindObjectsFinal = s_find_objects_final;
  list.C_SignInit = s_sign_init;
  list.C_Sign = s_sign;
  list.C_SignUpdate = s_sign_update;
  list.C_SignFinal = s_sign_final;
  list.C_GenerateKeyPair = s_generate_key_pair;
  list.C_GenerateRandom = s_generate_random;
  list.C_WaitForSlotEvent = s_wait_for_slot_event;
  return CKR_OK;
}

__attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST **to) {
  CK_RV answer = load();
  return answer == CKR_OK ? s_get_function_list(to) : answer;
}
