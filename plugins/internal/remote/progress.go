package remote

// progress knows behind which position a broadcast has to go on, should it be
// opened anew.
type progress struct {
	through string // the position up to which all is settled; empty if there is none
	any     bool   // something was delivered
	order   []*delivered
	byPlace map[string]*delivered
	byToken map[string]*delivered
}

// delivered is a message that is not settled, or not all before it.
type delivered struct {
	position, token string
	settled         bool
}

// delivered notes a delivery, which may be the message's second one.
func (p *progress) delivered(token, position string) {
	if p.byPlace == nil {
		p.byPlace, p.byToken = map[string]*delivered{}, map[string]*delivered{}
	}
	p.any = true
	d, again := p.byPlace[position]
	if !again {
		d = &delivered{position: position}
		p.order = append(p.order, d)
		p.byPlace[position] = d
	}
	delete(p.byToken, d.token)
	d.token = token
	p.byToken[token] = d
}

// settled notes an acknowledgement.
func (p *progress) settled(token string) {
	d, ok := p.byToken[token]
	if !ok {
		return
	}
	d.settled = true
	for len(p.order) > 0 && p.order[0].settled {
		first := p.order[0]
		p.order, p.through = p.order[1:], first.position
		delete(p.byPlace, first.position)
		delete(p.byToken, first.token)
	}
}

// restart returns the position behind which to go on, empty if none is known,
// and whether anything was delivered. What was delivered and not settled comes
// again.
func (p *progress) restart() (position string, any bool) {
	p.order, p.byPlace, p.byToken = nil, nil, nil
	return p.through, p.any
}
