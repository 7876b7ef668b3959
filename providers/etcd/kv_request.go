package etcd

import (
	"strconv"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"fairlead.dev/kv/driver"
)

func rangeOp(r *pb.RangeRequest) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: r}}
}

func putOp(r *pb.PutRequest) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: r}}
}

func deleteOp(r *pb.DeleteRangeRequest) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: r}}
}

// exists holds if the key exists.
func exists(key []byte) *pb.Compare {
	return &pb.Compare{
		Key: key, Target: pb.Compare_CREATE, Result: pb.Compare_GREATER,
		TargetUnion: &pb.Compare_CreateRevision{CreateRevision: 0},
	}
}

// isAt holds if the key was last written at a revision or, for 0, if it does
// not exist.
func isAt(key []byte, revision int64) *pb.Compare {
	return &pb.Compare{
		Key: key, Target: pb.Compare_MOD, Result: pb.Compare_EQUAL,
		TargetUnion: &pb.Compare_ModRevision{ModRevision: revision},
	}
}

// Revisions are etcd's, in decimal.

func formatRevision(n int64) driver.Revision { return driver.Revision(strconv.FormatInt(n, 10)) }

// parseRevision returns false for a revision that etcd has never given.
func parseRevision(r driver.Revision) (int64, bool) {
	n, err := strconv.ParseInt(string(r), 10, 64)
	return n, err == nil && n > 0 && formatRevision(n) == r
}
