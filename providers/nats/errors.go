package nats

import (
	"context"
	"errors"
	"fmt"
	"strings"

	natsgo "github.com/nats-io/nats.go"

	"fairlead.dev"
)

// errLost is why a request has no answer: the connection broke under it.
var errLost = errors.New("the connection broke before the answer came")

// errNoResponder: no server takes the request, which therefore did nothing.
var errNoResponder = errors.New("no server answers: JetStream, or the leader of the stream, is away")

// apiError is what JetStream answers when it refuses a request.
type apiError struct {
	Code        int    `json:"code"`
	ErrCode     int    `json:"err_code"`
	Description string `json:"description"`
}

func (e *apiError) Error() string {
	return fmt.Sprintf("%s (JetStream error %d)", e.Description, e.ErrCode)
}

// The answers of JetStream that are treated apart.
const (
	codeStreamNotFound   = 10059
	codeStreamExists     = 10058
	codeStoreFailed      = 10049
	codeConsumerNotFound = 10014
	codeConsumerExists   = 10148
	codeNoMessage        = 10037
	codeWrongLast        = 10071
	codeWrongLastBusy    = 10164 // in a cluster: another write of the key is under way
	codeTooManyBatches   = 10210
	codeIncompleteBatch  = 10176
	codeMessageTooLarge  = 10054
	codeStoreRefused     = 10077 // the stream's own limits, or the disk
	codeAccountFull      = 10002
	codeNoResources      = 10023
	codeNoMemory         = 10028
	codeNoStorage        = 10047
	codeNoSequence       = 10043
	codeDeleteFailed     = 10057
)

func isNoResponder(err error) bool { return errors.Is(err, errNoResponder) }

func isAPI(err error, codes ...int) bool {
	var e *apiError
	if !errors.As(err, &e) {
		return false
	}
	for _, c := range codes {
		if e.ErrCode == c {
			return true
		}
	}
	return false
}

// answers are the codes of what JetStream says. None of them comes after a
// write was applied.
var answers = map[int]struct {
	code fairlead.Code
	help string
}{
	codeAccountFull:     {fairlead.Unavailable, "the account is full: its limits of JetStream are reached; raise them, or delete what is not needed"},
	10003:               {fairlead.Internal, "JetStream refuses the request"},
	10005:               {fairlead.Unavailable, "the cluster has too few servers for \"replicas\", or none with room"},
	10008:               {fairlead.Unavailable, "JetStream is away for the moment"},
	10009:               {fairlead.Unavailable, "the cluster elects a leader"},
	codeNoResources:     {fairlead.Unavailable, "the server is full: max_file_store or max_memory_store of JetStream is reached; raise it, or delete what is not needed"},
	10026:               {fairlead.Unavailable, "the account has reached its number of streams or consumers"},
	10027:               {fairlead.Unavailable, "the account has reached its number of streams or consumers"},
	codeNoMemory:        {fairlead.Unavailable, "the server is full: max_memory_store of JetStream is reached or reserved; raise it"},
	10039:               {fairlead.Unavailable, "JetStream is not enabled for this account"},
	codeNoStorage:       {fairlead.Unavailable, "the server is full: max_file_store of JetStream is reached or reserved; raise it, or delete what is not needed"},
	codeStoreFailed:     {fairlead.Unavailable, "the server cannot make the stream's files"},
	codeMessageTooLarge: {fairlead.TooLarge, "the stream takes no message as long as this"},
	10052:               {fairlead.Invalid, "the limits of the server do not allow a stream as this provider needs it; raise them"},
	10121:               {fairlead.Invalid, "a limit max_ack_pending, of the server or of the account, is lower than a group needs (65536); raise it"},
	10074:               {fairlead.Invalid, "a server that is not in a cluster holds 1 replica only; open with replicas=1"},
	10076:               {fairlead.Unavailable, "JetStream is not enabled on the server"},
	10118:               {fairlead.Unavailable, "the stream is offline"},
	10194:               {fairlead.Unavailable, "the stream is offline"},
	codeStreamNotFound:  {fairlead.Unavailable, "the stream does not exist, or was deleted; open the store or topic again"},
	codeWrongLast:       {fairlead.Conflict, "the condition of the write did not hold"},
	codeWrongLastBusy:   {fairlead.Conflict, "the condition of the write did not hold"},
	codeTooManyBatches:  {fairlead.Unavailable, "too many transactions are under way on the server"},
}

// isFull reports whether the server refused a write for lack of room.
func isFull(err error) bool {
	var e *apiError
	return errors.As(err, &e) && (isAPI(e, codeAccountFull, codeNoResources, codeNoMemory, codeNoStorage) || e.streamFull())
}

// streamFull reports whether the limits of the stream itself are reached.
func (e *apiError) streamFull() bool {
	return e.ErrCode == codeStoreRefused && (strings.HasPrefix(e.Description, "maximum bytes") || strings.HasPrefix(e.Description, "maximum messages"))
}

// mapErr returns err as an error with a code. sent says whether a write may
// have reached the server: then a missing answer is an unknown outcome. A read
// has sent == false always.
func mapErr(err error, sent bool) error {
	if err == nil {
		return nil // before the variables, which take memory
	}
	var ours *fairlead.Error
	var api *apiError
	switch {
	case errors.As(err, &ours):
		return err
	case errors.As(err, &api):
		return mapAPI(api, sent)
	case errors.Is(err, errNoResponder):
		return fairlead.Errorf(fairlead.Unavailable, "%w", err)
	case isPermission(err):
		return fairlead.Errorf(fairlead.PermissionDenied, "the server refuses the credentials, or what this provider needs: %w", err)
	case sent:
		return fairlead.Errorf(fairlead.UnknownOutcome, "the server did not answer the write: %w", err)
	case errors.Is(err, natsgo.ErrConnectionClosed):
		return fairlead.Errorf(fairlead.Closed, "the provider is closed")
	case errors.Is(err, natsgo.ErrMaxPayload):
		return fairlead.Errorf(fairlead.TooLarge, "the message is longer than the server's max_payload: %w", err)
	case errors.Is(err, context.Canceled):
		return fairlead.Errorf(fairlead.Canceled, "%w", err)
	case errors.Is(err, context.DeadlineExceeded):
		return fairlead.Errorf(fairlead.DeadlineExceeded, "%w", err)
	default:
		return fairlead.Errorf(fairlead.Unavailable, "the server does not answer: %w", err)
	}
}

func isPermission(err error) bool {
	for _, target := range []error{natsgo.ErrAuthorization, natsgo.ErrAuthExpired, natsgo.ErrAuthRevoked, natsgo.ErrAccountAuthExpired, natsgo.ErrPermissionViolation} {
		if errors.Is(err, target) {
			return true
		}
	}
	return strings.Contains(strings.ToLower(err.Error()), "permissions violation")
}

func mapAPI(e *apiError, sent bool) error {
	if a, ok := answers[e.ErrCode]; ok {
		return fairlead.Errorf(a.code, "%s: %w", a.help, e)
	}
	switch {
	case e.streamFull():
		return fairlead.Errorf(fairlead.Unavailable, "the stream is full: max_bytes or max_msgs, which an operator has set, is reached; raise it: %w", e)
	case e.Code == 503:
		if sent {
			return fairlead.Errorf(fairlead.UnknownOutcome, "the server failed within the write: %w", e)
		}
		return fairlead.Errorf(fairlead.Unavailable, "%w", e)
	case e.Code >= 500 && sent:
		return fairlead.Errorf(fairlead.UnknownOutcome, "the server failed within the write: %w", e)
	default:
		return fairlead.Errorf(fairlead.Internal, "unexpected answer of the server: %w", e)
	}
}
