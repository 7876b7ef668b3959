package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"fairlead.dev/providers"
)

// answers are the codes of what a Redis server says, by the first words. None
// of them comes after a script of ours has begun to write.
var answers = []struct {
	prefix string
	code   providers.Code
	help   string
}{
	{"OOM ", providers.Unavailable, "the server has reached maxmemory"},
	{"READONLY ", providers.Unavailable, "the server is a replica, or became one"},
	{"LOADING ", providers.Unavailable, "the server is loading its data"},
	{"CLUSTERDOWN ", providers.Unavailable, "the cluster does not cover the key's hash slot"},
	{"MASTERDOWN ", providers.Unavailable, "the replica has lost its primary"},
	{"TRYAGAIN ", providers.Unavailable, "the hash slot is being moved"},
	{"MOVED ", providers.Unavailable, "the hash slot was moved"},
	{"ASK ", providers.Unavailable, "the hash slot is being moved"},
	{"NOREPLICAS ", providers.Unavailable, "min-replicas-to-write is not met"},
	{"MISCONF ", providers.Unavailable, "the server cannot persist and refuses writes"},
	{"BUSY ", providers.Unavailable, "the server is running a long script"},
	{"ERR max number of clients", providers.Unavailable, "maxclients is reached"},
	{"NOSTORE ", providers.Unavailable, "the store was deleted meanwhile"},
	{"FENCED ", providers.Unavailable, "the write came too late"},
	{"ERR DB index is out of range", providers.Invalid, "the server has no database of the number that the URL's path names"},
	{"ERR This instance has cluster support disabled", providers.Invalid, "the server is not in cluster mode; several hosts are the nodes of one cluster, or Sentinels with \"master-name\""},
	{"NOPERM ", providers.PermissionDenied, "the ACL of the user does not allow what this provider needs"},
	{"WRONGPASS ", providers.PermissionDenied, "the server refuses the user or the password"},
	{"ERR invalid password", providers.PermissionDenied, "the server refuses the password"},
	{"ERR AUTH ", providers.PermissionDenied, "the server has no password for this user"},
	{"NOAUTH ", providers.PermissionDenied, "the server demands a password; give it in the URL as user:password@, in \"password-env\" or in \"password-file\""},
}

// mapErr returns err as an error with a code. sent says whether a write may
// have reached the server: then a missing answer is an unknown outcome. A
// read has sent == false always.
func mapErr(err error, sent bool) error {
	var ours *providers.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &ours):
		return err
	case isAnswer(err):
		return mapAnswer(err, sent)
	case sent:
		return providers.Errorf(providers.UnknownOutcome, "the server did not answer the write: %w", err)
	case errors.Is(err, goredis.ErrClosed):
		return providers.Errorf(providers.Closed, "the provider is closed")
	case errors.Is(err, goredis.ErrPoolTimeout), errors.Is(err, goredis.ErrPoolExhausted):
		return providers.Errorf(providers.Unavailable, "no free connection; all of \"pool-size\" are in use: %w", err)
	case isDial(err):
		return providers.Errorf(providers.Unavailable, "cannot connect: %w", err)
	case errors.Is(err, context.Canceled):
		return providers.Errorf(providers.Canceled, "%w", err)
	case errors.Is(err, context.DeadlineExceeded):
		return providers.Errorf(providers.DeadlineExceeded, "%w", err)
	default:
		return providers.Errorf(providers.Unavailable, "the server did not answer: %w", err)
	}
}

// mapCallErr is mapErr for a call under ctx: where ctx has ended and nothing
// was sent, its end is the reason, in whatever form the client reports it.
func mapCallErr(ctx context.Context, err error, sent bool) error {
	if end := ended(ctx); err != nil && !sent && end != nil && !isAnswer(err) {
		return providers.Errorf(providers.CodeOf(end), "%w", end)
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
			return providers.Errorf(a.code, "%s: %w", a.help, err)
		}
	}
	if sent {
		// A script that ran into an error may have written a part.
		return providers.Errorf(providers.UnknownOutcome, "the server failed within the write: %w", err)
	}
	return providers.Errorf(providers.Internal, "unexpected answer of the server: %w", err)
}

// unexpected is the error for a reply that our scripts do not give.
func unexpected(reply any) error {
	return providers.Errorf(providers.Internal, "unexpected reply of the server: %.200v", reply)
}

// lazyText formats when it is printed.
type lazyText struct {
	format string
	args   []any
}

func (t lazyText) String() string { return fmt.Sprintf(t.format, t.args...) }
