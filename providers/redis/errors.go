package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"fairlead.dev"
)

// answers are the codes of what a Redis server says, by the first words. None
// of them comes after a script of ours has begun to write.
var answers = []struct {
	prefix string
	code   fairlead.Code
	help   string
}{
	{"OOM ", fairlead.Unavailable, "the server has reached maxmemory"},
	{"READONLY ", fairlead.Unavailable, "the server is a replica, or became one"},
	{"LOADING ", fairlead.Unavailable, "the server is loading its data"},
	{"CLUSTERDOWN ", fairlead.Unavailable, "the cluster does not cover the key's hash slot"},
	{"MASTERDOWN ", fairlead.Unavailable, "the replica has lost its primary"},
	{"TRYAGAIN ", fairlead.Unavailable, "the hash slot is being moved"},
	{"MOVED ", fairlead.Unavailable, "the hash slot was moved"},
	{"ASK ", fairlead.Unavailable, "the hash slot is being moved"},
	{"NOREPLICAS ", fairlead.Unavailable, "min-replicas-to-write is not met"},
	{"MISCONF ", fairlead.Unavailable, "the server cannot persist and refuses writes"},
	{"BUSY ", fairlead.Unavailable, "the server is running a long script"},
	{"ERR max number of clients", fairlead.Unavailable, "maxclients is reached"},
	{"NOSTORE ", fairlead.Unavailable, "the store was deleted meanwhile"},
	{"FENCED ", fairlead.Unavailable, "the write came too late"},
	{"ERR DB index is out of range", fairlead.Invalid, "the server has no database of the number that the URL's path names"},
	{"ERR This instance has cluster support disabled", fairlead.Invalid, "the server is not in cluster mode; several hosts are the nodes of one cluster, or Sentinels with \"master-name\""},
	{"NOPERM ", fairlead.PermissionDenied, "the ACL of the user does not allow what this provider needs"},
	{"WRONGPASS ", fairlead.PermissionDenied, "the server refuses the user or the password"},
	{"ERR invalid password", fairlead.PermissionDenied, "the server refuses the password"},
	{"ERR AUTH ", fairlead.PermissionDenied, "the server has no password for this user"},
	{"NOAUTH ", fairlead.PermissionDenied, "the server demands a password; give it in the URL as user:password@, in \"password-env\" or in \"password-file\""},
}

// mapErr returns err as an error with a code. sent says whether a write may
// have reached the server: then a missing answer is an unknown outcome. A
// read has sent == false always.
func mapErr(err error, sent bool) error {
	var ours *fairlead.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &ours):
		return err
	case isAnswer(err):
		return mapAnswer(err, sent)
	case sent:
		return fairlead.Errorf(fairlead.UnknownOutcome, "the server did not answer the write: %w", err)
	case errors.Is(err, goredis.ErrClosed):
		return fairlead.Errorf(fairlead.Closed, "the provider is closed")
	case errors.Is(err, goredis.ErrPoolTimeout), errors.Is(err, goredis.ErrPoolExhausted):
		return fairlead.Errorf(fairlead.Unavailable, "no free connection; all of \"pool-size\" are in use: %w", err)
	case isDial(err):
		return fairlead.Errorf(fairlead.Unavailable, "cannot connect: %w", err)
	case errors.Is(err, context.Canceled):
		return fairlead.Errorf(fairlead.Canceled, "%w", err)
	case errors.Is(err, context.DeadlineExceeded):
		return fairlead.Errorf(fairlead.DeadlineExceeded, "%w", err)
	default:
		return fairlead.Errorf(fairlead.Unavailable, "the server did not answer: %w", err)
	}
}

// mapCallErr is mapErr for a call under ctx: where ctx has ended and nothing
// was sent, its end is the reason, in whatever form the client reports it.
func mapCallErr(ctx context.Context, err error, sent bool) error {
	if end := ended(ctx); err != nil && !sent && end != nil && !isAnswer(err) {
		return fairlead.Errorf(fairlead.CodeOf(end), "%w", end)
	}
	return mapErr(err, sent)
}

// ended is ctx.Err, except that it does not wait for the context's own timer:
// a connection has the same deadline and may notice it first.
func ended(ctx context.Context) error {
	if d, ok := ctx.Deadline(); ok && !time.Now().Before(d) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

func isAnswer(err error) bool {
	var answer goredis.Error
	return errors.As(err, &answer) && !errors.Is(err, goredis.Nil)
}

func isDial(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

func mapAnswer(err error, sent bool) error {
	for _, a := range answers {
		if goredis.HasErrorPrefix(err, a.prefix) || strings.HasPrefix(err.Error(), a.prefix) {
			return fairlead.Errorf(a.code, "%s: %w", a.help, err)
		}
	}
	if sent {
		// A script that ran into an error may have written a part.
		return fairlead.Errorf(fairlead.UnknownOutcome, "the server failed within the write: %w", err)
	}
	return fairlead.Errorf(fairlead.Internal, "unexpected answer of the server: %w", err)
}

// unexpected is the error for a reply that our scripts do not give.
func unexpected(reply any) error {
	return fairlead.Errorf(fairlead.Internal, "unexpected reply of the server: %.200v", reply)
}

// lazyText formats when it is printed.
type lazyText struct {
	format string
	args   []any
}

func (t lazyText) String() string { return fmt.Sprintf(t.format, t.args...) }
