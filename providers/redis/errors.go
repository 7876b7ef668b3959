package redis

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"fairlead.dev"
)

// unknownCommand begins the reply to a command that the server does not know.
const unknownCommand = "ERR unknown command"

// exhaustedPrefix begins our scripts' error for a stream that has used up its IDs,
// and streamExhausted the server's own.
const (
	exhaustedPrefix = "EXHAUSTED "
	streamExhausted = "ERR The stream has exhausted"
)

// errorReplies are the codes of a Redis server's error replies, by their first
// words. Except for UNRECORDED, the server sends none of them after one of our
// scripts has begun to write.
var errorReplies = []struct {
	prefix string
	code   fairlead.Code
	help   string
}{
	{"OOM ", fairlead.Unavailable, "the server is full: it has reached maxmemory; acknowledge or delete what it holds, or raise maxmemory"},
	{"READONLY ", fairlead.Unavailable, "the server is a replica, or has become one"},
	{"LOADING ", fairlead.Unavailable, "the server is loading its data"},
	{"CLUSTERDOWN ", fairlead.Unavailable, "the cluster does not serve the hash slot of the key"},
	{"MASTERDOWN ", fairlead.Unavailable, "the replica has lost its primary"},
	{"TRYAGAIN ", fairlead.Unavailable, "the hash slot is being moved"},
	{"MOVED ", fairlead.Unavailable, "the hash slot was moved"},
	{"ASK ", fairlead.Unavailable, "the hash slot is being moved"},
	{"NOREPLICAS ", fairlead.Unavailable, "min-replicas-to-write is not met"},
	{"MISCONF ", fairlead.Unavailable, "the server cannot persist its data (its disk may be full) and refuses writes; see the server's log"},
	{"WRONGTYPE ", fairlead.Internal, "another program has put something of another type under a key of this provider; delete it"},
	{"BUSY ", fairlead.Unavailable, "the server is running a long script"},
	{"ERR max number of clients", fairlead.Unavailable, "the server has reached maxclients"},
	{"NOSTORE ", fairlead.Unavailable, "the store was deleted during the call"},
	{exhaustedPrefix, fairlead.Internal, "another program has used up the IDs of the topic's or store's stream; delete it"},
	{"UNRECORDED ", fairlead.UnknownOutcome, "the change was applied, but its store's log does not have it, and watchers miss it; another program has used up the log's IDs"},
	{"FENCED ", fairlead.Unavailable, "the write arrived after the provider had given it up, and was not applied"},
	{unknownCommand + " 'auth'", fairlead.PermissionDenied, "the server does not know AUTH, and takes no password; it has renamed it, or is no Redis"},
	{unknownCommand, fairlead.Unsupported, "the server does not know a command that this provider needs; it has renamed it, is older than 7.0, or is no Redis"},
	{"ERR DB index is out of range", fairlead.Invalid, "the server has no database with the number in the URL's path"},
	{"ERR This instance has cluster support disabled", fairlead.Invalid, "the server is not in cluster mode; several hosts are the nodes of one cluster, or Sentinels with \"master-name\""},
	{"WRONGPASS ", fairlead.PermissionDenied, "the server rejects the user or the password"},
	{"ERR invalid password", fairlead.PermissionDenied, "the server rejects the password"},
	{"ERR AUTH ", fairlead.PermissionDenied, "the server has no password for this user"},
	{"ERR Protocol error: unauthenticated ", fairlead.PermissionDenied, "the server requires a password, and takes no command of this size without it; give it in the URL as user:password@, in \"password-env\" or in \"password-file\""},
	{"NOAUTH ", fairlead.PermissionDenied, "the server requires a password; give it in the URL as user:password@, in \"password-env\" or in \"password-file\""},
}

// mapErr returns err as an error with a code. sent says whether a write may
// have reached the server: a missing reply is then an unknown outcome. It is
// false for a read.
func mapErr(err error, sent bool) error {
	if err == nil {
		return nil // before the variable, which errors.As moves to the heap
	}
	var ours *fairlead.Error
	switch {
	case errors.As(err, &ours):
		return err
	case isErrorReply(err):
		return mapErrorReply(err, sent)
	case sent:
		return fairlead.Errorf(fairlead.UnknownOutcome, "the server did not answer the write: %w", err)
	case errors.Is(err, goredis.ErrClosed):
		return fairlead.Errorf(fairlead.Closed, "the provider is closed")
	case errors.Is(err, goredis.ErrPoolTimeout), errors.Is(err, goredis.ErrPoolExhausted):
		return fairlead.Errorf(fairlead.Unavailable, "no connection is free; all of \"pool-size\" are in use: %w", err)
	case isDialError(err):
		return fairlead.Errorf(fairlead.Unavailable, "cannot connect: %w", err)
	default:
		return fairlead.Errorf(fairlead.Unavailable, "the server did not answer: %w", err)
	}
}

// mapCallErr is mapErr for a call with the context ctx. If ctx has ended and
// nothing was sent, the end of ctx is the reason, although the client may report
// it in other forms.
func mapCallErr(ctx context.Context, err error, sent bool) error {
	if err != nil && !sent && !isErrorReply(err) {
		if end := fairlead.ContextError(ctx); end != nil {
			return end
		}
	}
	return mapErr(err, sent)
}

func isErrorReply(err error) bool {
	var reply goredis.Error
	return errors.As(err, &reply) && !errors.Is(err, goredis.Nil)
}

func isDialError(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// withoutArguments returns the text of an error reply without the arguments that the
// server repeats of a command that it does not know: they may be a password.
func withoutArguments(text string) string {
	before, _, _ := strings.Cut(text, ", with args beginning with")
	return before
}

// errorReply is an error reply with another text.
type errorReply string

func (e errorReply) Error() string { return string(e) }

// RedisError makes it one for the client's functions.
func (errorReply) RedisError() {}

func mapErrorReply(err error, sent bool) error {
	if _, command, ok := strings.Cut(withoutArguments(err.Error()), unknownCommand); ok {
		err = errorReply(unknownCommand + command)
	}
	if !sent && strings.HasPrefix(err.Error(), streamExhausted) {
		err = errorReply(exhaustedPrefix + err.Error())
	}
	if isDenial(err) {
		return mapDenial(err, sent)
	}
	for _, r := range errorReplies {
		if goredis.HasErrorPrefix(err, r.prefix) || strings.HasPrefix(err.Error(), r.prefix) {
			return fairlead.Errorf(r.code, "%s: %w", r.help, err)
		}
	}
	if sent {
		// A script that failed may have written a part.
		return fairlead.Errorf(fairlead.UnknownOutcome, "the server failed during the write: %w", err)
	}
	return fairlead.Errorf(fairlead.Internal, "unexpected error reply of the Redis server: %w", err)
}

// deadlinePassedError is for an operation whose own deadline has passed.
func deadlinePassedError(deadline, now time.Time) error {
	return fairlead.Errorf(fairlead.DeadlineExceeded, "the deadline passed %v before the operation was sent", now.Sub(deadline))
}

func invalidf(format string, args ...any) error {
	return fairlead.Errorf(fairlead.Invalid, format, args...)
}
