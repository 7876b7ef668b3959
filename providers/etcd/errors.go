package etcd

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"fairlead.dev"
)

// refusal is an answer of the server by which nothing was applied.
type refusal struct {
	code fairlead.Code
	help string
}

// refusals are the answers by their text.
var refusals = func() map[string]refusal {
	all := map[string]refusal{}
	for err, r := range map[error]refusal{
		rpctypes.ErrGRPCNoSpace:                {fairlead.Unavailable, "the database is full: it has reached --quota-backend-bytes; compact its history, defragment the members, and disarm the alarm NOSPACE"},
		rpctypes.ErrGRPCRequestTooManyRequests: {fairlead.Unavailable, "the server has too much to do"},
		rpctypes.ErrGRPCRequestTooLarge:        {fairlead.TooLarge, "the server's --max-request-bytes is less than this request"},
		rpctypes.ErrGRPCTooManyOps:             {fairlead.TooLarge, "the server's --max-txn-ops is less than this request"},
		rpctypes.ErrGRPCCompacted:              {fairlead.Compacted, "the history was compacted"},
		rpctypes.ErrGRPCFutureRev:              {fairlead.Compacted, "the server has lost its history"},
		rpctypes.ErrGRPCNoLeader:               {fairlead.Unavailable, "the member has no leader"},
		rpctypes.ErrGRPCUnhealthy:              {fairlead.Unavailable, "the cluster is unhealthy"},
		rpctypes.ErrGRPCCorrupt:                {fairlead.Unavailable, "the cluster found its data corrupt"},
		rpctypes.ErrGRPCNotSupportedForLearner: {fairlead.Unavailable, "the endpoint is a learner; name voting members in the URL"},
		rpctypes.ErrGRPCLeaseNotFound:          {fairlead.Unavailable, "the time to live ended before the write reached the server"},
		rpctypes.ErrGRPCLeaseTTLTooLarge:       {fairlead.Invalid, "the time to live is longer than the server takes"},
		rpctypes.ErrGRPCPermissionDenied:       {fairlead.PermissionDenied, "no role of the user allows this on the keys of \"prefix\""},
		rpctypes.ErrGRPCAuthFailed:             {fairlead.PermissionDenied, "the server refuses the user or the password"},
		rpctypes.ErrGRPCUserEmpty:              {fairlead.PermissionDenied, "the server demands a user; give user:password@ in the URL, or user@ and \"password-env\" or \"password-file\""},
		rpctypes.ErrGRPCInvalidAuthToken:       {fairlead.PermissionDenied, "the server refuses the login"},
		rpctypes.ErrGRPCAuthOldRevision:        {fairlead.Unavailable, "users or roles are being changed"},
	} {
		all[rpctypes.ErrorDesc(err)] = r
	}
	return all
}()

// mapErr returns err as an error with a code. sent says whether a write may
// have reached the server: then a missing answer is an unknown outcome. For a
// read, sent is always false.
func mapErr(err error, sent bool) error {
	if err == nil {
		return nil
	}
	var ours *fairlead.Error
	if errors.As(err, &ours) {
		return err
	}
	text := rpctypes.ErrorDesc(err)
	var named rpctypes.EtcdError
	if errors.As(err, &named) {
		text = named.Error()
	}
	if r, ok := refusals[text]; ok {
		return fairlead.Errorf(r.code, "%s: %w", r.help, err)
	}
	if sent {
		return fairlead.Errorf(fairlead.UnknownOutcome, "the server did not answer the write: %w", err)
	}
	return mapUnsent(err)
}

// mapUnsent maps the error of a call that had no effect.
func mapUnsent(err error) error {
	code := status.Code(err)
	switch {
	case errors.Is(err, context.Canceled), code == codes.Canceled:
		return fairlead.Errorf(fairlead.Canceled, "%w", err)
	case errors.Is(err, context.DeadlineExceeded), code == codes.DeadlineExceeded:
		return fairlead.Errorf(fairlead.DeadlineExceeded, "%w", err)
	case errors.Is(err, clientv3.ErrNoAvailableEndpoints), code == codes.Unavailable:
		return fairlead.Errorf(fairlead.Unavailable, "the server did not answer: %w", err)
	default:
		return fairlead.Errorf(fairlead.Internal, "unexpected answer of the server: %w", err)
	}
}

// unexpected returns the error for an answer that etcd does not give.
func unexpected(what string) error {
	return fairlead.Errorf(fairlead.Internal, "unexpected answer of the server: %s", what)
}

// isFull reports whether the server refused a request because its database is
// full. It then still deletes.
func isFull(err error) bool { return errors.Is(err, rpctypes.ErrGRPCNoSpace) }
