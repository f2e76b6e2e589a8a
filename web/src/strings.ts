// All that the page says, in one place, to be translated.
const refusals: Record<string, string> = {
  UNDERBID: 'Your maximum is below the node’s price. Raise the maximum cost, or ask for fewer tokens.',
  RATE_LIMITED: 'The node takes only so many jobs at a time from one customer. Wait a moment, or choose another node.',
  UNSUPPORTED_MODEL: 'The node does not run this model any more. Choose another in the market.',
  UNAVAILABLE: 'The node cannot take the job now. Try another node.',
  INVALID_PARAMETER: 'The node does not take these parameters.',
  TOO_LARGE: 'The input is too large for this node. Shorten it, or choose a model with a larger context.',
  PRICE_CHANGED: 'The node has changed its price. Look at the new one and order again.',
  EXPIRED: 'The node got the job too late. Order again, perhaps with a longer deadline.',
  POW: 'The node wants proof of work from customers it does not know. Choose another node.',
  DENIED: 'The node does not work for this key.',
  CONFLICT: 'The node has this job already.',
  INSUFFICIENT: 'The balance at the node is not enough.',
};

const errors: Record<string, string> = {
  'signer:none': 'No Nostr extension was found. Install one (nos2x, Alby, …) and reload the page, or sign in another way.',
  'signer:denied': 'Your signer said no. Nothing was sent. Try again and approve it to go on.',
  'signer:changed': 'The signer gave back something else than what was asked for. Nothing was sent.',
  'signer:nip44': 'This extension cannot encrypt (NIP-44). Update it, or choose “Auction”, which is public.',
  'signer:silent': 'The signer does not answer. Is it running and connected to its relay?',
  'signer:norelay': 'A signer that scans the code is met at a relay. Add one in the settings first.',
  'signer:address': 'This is no bunker address. It begins with bunker:// and names a relay.',
  'signer:token': 'The daemon does not know this page. Run “infernet open” on its machine.',
  'buy:nooffers': 'No node made an offer. Choose a model that somebody runs now, or collect offers for longer.',
  'buy:dear': 'All offers are above your maximum, or to be paid in another way than you allow. Raise the maximum cost.',
  'buy:noshow': 'The node does not answer. Nothing was paid. Choose another node.',
  'buy:late': 'The deadline passed without a result.',
  'buy:cancelled': 'You cancelled this job.',
  'buy:gone': 'The node is not in the market any more. Choose another.',
  'buy:large': 'This is too much for one job: about 40 kB travel. Shorten the text, or take a smaller file.',
  'buy:budget': 'This would exceed your budget for a day. Nothing was paid. You can change it in the settings.',
};

const nodeErrors: Record<string, string> = {
  SILENT: 'The node does not answer. Is it running, at a relay of yours, and are you its owner?',
  DENIED: 'The node refuses. Is the code right? It is good once.',
  INVALID: 'The node does not take this value.',
  STALE: 'The clocks of this browser and the node differ too much.',
  UNKNOWN: 'The node’s version does not know this.',
  address: 'This is no key, IP address or domain. A node shows its address when it starts: infernet:npub1…',
  unreachable: 'Nothing answers there. Paste the address that the node shows in its log instead: it is reached over its relays.',
};

export const t = {
  app: 'Infernet',
  skip: 'Skip to content',
  loading: 'Loading…',
  nav: { market: 'Market', new: 'New job', jobs: 'Jobs', chat: 'Chat', nodes: 'Nodes', alerts: 'Alerts', settings: 'Settings', more: 'More', main: 'Main menu' },
  status: { offline: 'Offline: what you see was seen before', connecting: 'Connecting to the relays…', connected: (n: number) => `${n} ${n === 1 ? 'relay' : 'relays'}`, none: 'No relay' },
  sign: {
    in: 'Sign in', out: 'Sign out', title: 'Sign in with your Nostr key', why: 'Your key stays where it is: this page asks for signatures and never sees it.',
    extension: 'Browser extension', extensionWhat: 'nos2x, Alby, or any that speaks NIP-07', none: 'none found in this browser',
    bunker: 'Bunker', bunkerWhat: 'A signer elsewhere, over relays (NIP-46)', bunkerPaste: 'Paste its bunker:// address', connect: 'Connect', qr: 'Or scan this with your signer', showQR: 'Show a QR code to scan', waiting: 'Waiting for your signer…',
    daemon: 'This machine', daemonWhat: 'The key of the daemon that serves this page', daemonHow: 'Run “infernet open” on this machine: it opens this page signed in.', close: 'Close', approve: 'Your signer wants an approval', open: 'Open it', as: 'Signed in as', needed: 'Sign in to go on', working: 'Ask your signer for approval…',
  },
  market: {
    title: 'Market', lead: 'What you can rent now, as the nodes announce it on your relays.', models: 'Models', nodes: 'Nodes', search: 'Search models, nodes, cards', kind: 'Type', any: 'Any', capability: 'Pays with', maxPrice: 'Up to (sat per 1,000 in + 1,000 out)', vram: 'Graphics memory', size: 'Size', alive: 'Online only', reviewed: 'Reviewed only', attested: 'Attested only', more: 'More filters', clear: 'Clear filters',
    model: 'Model', node: 'Node', price: 'Price', priceWhat: 'for 1,000 tokens in and 1,000 out', context: 'Context', hardware: 'Hardware', load: 'Load', status: 'Status', online: 'online', busy: 'busy', draining: 'ending', offline: 'offline', paused: 'paused', rating: 'Reviews', jobs: 'Jobs at once', way: 'Payment', none: 'none yet', cpu: 'no card announced',
    rent: 'Use', use: (m: string, n: string) => `Use ${m} at ${n}`, compare: 'Compare', compared: 'Compare selected', compareTitle: 'Side by side', choose: (m: string, n: string) => `Compare ${m} at ${n}`, best: '(best)', noneToCompare: 'Nothing to compare', noneToCompareWhat: 'Tick up to four models in the market. What you ticked may have left it since.', attestation: 'Attested hardware', claimed: 'says so', noAttestation: 'no', open: 'Open the market for this model',
    empty: 'Nobody sells here yet', emptyWhat: 'Your relays know of no node. Add a relay where there is a market, or start one on this machine:', emptyRelay: 'Add a relay', noneFound: 'Nothing fits these filters.', nothing: 'No relay is set', nothingWhat: 'The market lives on Nostr relays. Name one to look around; nothing else is needed.', relay: 'Relay address', add: 'Connect',
    facts: 'What it says of itself', prices: 'Prices', seen: 'Last seen', key: 'Key', relays: 'Relays', base: 'each job', in: '1,000 in', out: '1,000 out', ms: 'second of work', unchecked: 'Reviews come from customers of the node. Nobody has checked them.', claims: 'These are the node’s own words.', reviewsOf: 'What customers say', back: 'Back to the market', priceCompare: 'Prices of this model', priceChart: 'Price by node, sat',
    shown: (n: number, of: number) => `${n.toLocaleString('en')} of ${of.toLocaleString('en')}`,
  },
  table: { csv: 'Export CSV', sort: (c: string) => `Sort by ${c}`, rows: 'rows' },
  job: {
    title: 'New job', lead: 'Say what you want done. Nothing is paid before you or your limits agree.', kind: 'Kind of job', model: 'Model', anyModel: 'Any model', prompt: 'Prompt', promptHint: 'Ask something…', text: 'Text', input: 'Input', file: 'File', addFile: 'Add a file', drop: 'or drop it here', fileLimit: 'Small files travel inside the job (about 29 kB). Larger ones: “infernet run --file”.', remove: 'Remove', url: 'or an address to fetch', params: 'Parameters', paramsHint: 'Leave empty for the model’s own.',
    where: 'Where', auction: 'Auction', auctionWhat: 'Nodes bid, you choose. Public: anyone at the relay can read the prompt.', direct: 'One node, private', directWhat: 'Encrypted to one node at its announced price.', node: 'Node', choice: 'Award', auto: 'Cheapest offer, automatically', manual: 'I choose', first: 'First offer that fits', window: 'Collect offers for (seconds)',
    limits: 'Limits', max: 'Maximum cost (sat)', deadline: 'Deadline', priority: 'Priority', low: 'Low (cheaper)', normal: 'Normal', high: 'High (dearer)', gpu: 'Graphics card contains', vram: 'Graphics memory at least (MB)', hardware: 'Hardware', pay: 'Ways to pay', copies: 'Number of nodes', copiesWhat: 'The same job at several nodes, to compare their answers.', verify: 'Verification', verifyWhat: (n: number) => (n > 1 ? `${n} answers are compared word for word; the job view says which agree.` : 'The answer is held against its node’s signature and hash.'),
    ways: { free: 'free', prepaid: 'in advance', hold: 'locked, then paid', sealed: 'after the result' } as Record<string, string>, risk: { prepaid: 'In advance: you trust the node with one job.', hold: 'Locked first: comes back if the node fails or vanishes.', sealed: 'Result first, paying reveals its key: you risk nothing. Not streamed.' } as Record<string, string>,
    estimate: 'Estimate', about: 'about', most: 'at most', cheapest: 'cheapest', unknown: 'No node announces a price for this.', free: 'Free', nodesFit: (n: number) => (n === 1 ? '1 node fits' : `${n} nodes fit`), submit: 'Get offers', submitDirect: 'Order', missing: 'Write a prompt first.', missingFile: 'Add a file or an address first.', wallet: 'A payment will be needed. Connect a wallet in the settings, or pay by QR code.',
    cheaper: (name: string, pct: number) => `${name} would cost ${pct}% less.`,
  },
  phase: { sign: 'Waiting for your signature', publish: 'Sending the job to the relays', offers: 'Collecting offers', award: 'Awarding', answer: 'Waiting for the node', invoice: 'Checking the invoice', paying: 'Paying', shown: 'Waiting for the payment', work: 'The node is working', open: 'Checking the result', receipt: 'Waiting for the receipt', done: 'Done', failed: 'Ended' } as Record<string, string>,
  state: { settled: 'completed', delivered: 'delivered', running: 'running', 'await payment': 'to be paid', awarded: 'awarded', failed: 'failed', 'no show': 'no answer', unpaid: 'not paid', cancelled: 'cancelled', offered: 'has offers', open: 'open', expired: 'expired' } as Record<string, string>,
  log: {
    published: 'Job published', collecting: (s: number) => `Collecting offers for ${s} s`, awarded: (n: string, m: number) => `Awarded to ${n} for ${m / 1000} sat`, paying: (m: number, w: string) => `Paying ${m / 1000} sat with ${w}`, paid: (m: number) => `Paid ${m / 1000} sat`, shown: 'Invoice shown, waiting for somebody to pay it', delivered: 'Result verified',
  },
  view: {
    offers: 'Offers', noOffers: 'No offer yet.', choose: 'Choose', chooseOf: (n: string, p: string) => `Choose the offer of ${n} for ${p}`, chosen: 'chosen', eta: 'expected', pay: 'Pay this invoice', payWhat: 'Scan it with a Lightning wallet, or copy it. The job goes on by itself once it is paid.', copy: 'Copy', copied: 'Copied', payWith: 'Pay with', result: 'Answer', waiting: 'The answer appears here.', receipt: 'Receipt', checks: 'Checked in this page', cost: 'Cost', nodeOf: 'Node', took: 'Took', first: 'First words after', speed: 'Speed', tokens: 'Tokens in / out', log: 'Log', events: 'Signed events', download: 'Download', cancel: 'Cancel job', again: 'Run again', closed: 'This job is encrypted. Open it with your key:', openIt: 'Open', prompt: 'Prompt', retry: 'Try again', compare: 'Answers compared', same: 'All answers agree', differ: 'Answers differ', back: 'All jobs', unknown: 'This job is not known here', unknownWhat: 'It is not among the jobs of the key you are signed in with, or your relays have forgotten it.', review: 'Rate the node', reviewed: 'Your review is published.', send: 'Send',
    check: {
      signed: 'Signed by the node that was chosen', about: 'Names this job and this result', amount: (s: string) => `Says ${s}, as was agreed`, paid: 'Payment proven: the preimage fits the invoice', free: 'Nothing was to be paid', hash: 'The text is the one that was signed (SHA-256)', sealed: 'Opened with the key that the payment revealed', none: 'The node has not sent a receipt yet. What it signed is its result.', bad: 'does not hold',
    },
  },
  jobs: { title: 'Jobs', lead: 'What you bought, newest first.', all: 'All', active: 'Active', done: 'Completed', ended: 'Ended', state: 'State', job: 'Job', kind: 'Kind', cost: 'Cost', when: 'When', node: 'Node', took: 'Took', empty: 'No jobs yet', emptyWhat: 'Ask for something: the market does the rest, and what you bought is kept here.', spent: 'Spent', spentDay: 'Last 24 hours', total: 'Jobs', rate: 'Success', median: 'Median time', chart: 'Spent each day, sat', encrypted: 'Encrypted job', search: 'Search jobs', batch: 'Batch', signIn: 'Your jobs are found by your key. Sign in to see them.' },
  batch: { title: 'Batch', lead: 'One prompt a line, each a job of its own. A text file or JSON lines (with a field prompt) does as well.', lines: 'Prompts, one a line', upload: 'Upload a file', start: (n: number) => (n === 1 ? 'Run 1 job' : `Run ${n} jobs`), atOnce: 'At once', progress: 'Progress', done: 'done', failed: 'failed', export: 'Export results', stop: 'Stop', goOn: 'Go on', new: 'New batch', waiting: 'waiting', none: 'Write or upload at least one prompt.', most: 'At most 500 prompts at a time.' },
  chat: { title: 'Chat', lead: 'Each turn is a job, encrypted to the node you choose.', hint: 'Write a message', send: 'Send', new: 'New conversation', pick: 'Choose a model to talk to', none: 'No node that is online answers text.', you: 'You', empty: 'Say something to begin.', stop: 'Stop', turn: 'a turn costs' },
  nodes: {
    title: 'Nodes', lead: 'The machines you rent out.', add: 'Add Node', empty: 'No nodes yet', emptyWhat: 'Start one where the graphics card is, then add it here by its key.', command: 'On the machine with the card:', byKey: 'Its key (npub), IP address or domain', byKeyHint: 'npub1… or 192.0.2.7:3000', claim: 'Add', found: 'Nodes that name you as their owner', watch: 'Watched', remove: 'Remove', unknown: 'not in the market of your relays', notKey: 'This is no key, IP address or domain. A node shows its key when it starts: npub1…', unreachable: 'Nothing answers there. Is the node’s door open (provide.listen), and may this page ask it (provide.origins)?', signIn: 'Your nodes are kept in a list that you sign. Sign in to see it.',
code: 'One-time code', codeWhat: 'A node without an owner shows an address with a code in its log, also as a QR code (infernet provide owner). Paste the whole address, or the key and the code. The code is proved, not sent.', unnamed: 'unnamed', asking: 'Asking the node…', notMine: 'Not one of your nodes', notMineWhat: 'Add it first, with the code that it shows.', pause: 'Pause', resume: 'Resume', pausedNow: 'The node takes no new jobs.', resumedNow: 'The node takes jobs again.', refresh: 'Refresh', today: 'Earned today', machine: 'Machine', memory: 'Memory', memoryPercent: 'Memory %', engine: 'Engine', up: 'Started', utilisation: 'Utilisation, percent', earnings: 'Earnings', earningsChart: 'Paid each day, sat', earned: 'Paid', settings: 'Settings of this node', settingsWhat: 'Prices are msat. Hours of work read like 22:00-06:00. What is saved holds at once, for new offers.', save: 'Save', saved: 'Saved: the node has taken it over.', sold: 'sold', unsold: 'not sold', jobs: 'Jobs of this node', noAlerts: 'Nothing to report.',
    status: 'Status', load: 'Jobs running', queue: 'Waiting', capacity: 'At once', models: 'Models', loadChart: 'Running and waiting jobs', priceNow: 'Prices now', history: 'Load since this page was opened', online: 'Online', total: 'Nodes', running: 'Jobs running now', free: 'Free slots', notYet: 'Not in this version yet', published: 'Your list of nodes is published.', lastSeen: 'Last heartbeat',
  },
  alerts: { title: 'Alerts', lead: 'What happened while this page was open.', empty: 'Nothing yet', emptyWhat: 'Alerts appear here as they happen. Choose which in the settings.', settings: 'Choose alerts', clear: 'Clear' },
  notice: { done: (j: string) => `Job ${j} is done`, failed: (j: string, why: string) => `Job ${j} ended: ${why}`, offer: (n: number) => (n === 1 ? 'One offer' : `${n} offers`), budget: 'Over 80% of your budget for a day is spent', down: (n: string) => `Node ${n} is offline`, up: (n: string) => `Node ${n} is online again` },
  settings: {
    title: 'Settings', relays: 'Relays', relaysWhat: 'Where the market and your jobs are looked for. At most five.', add: 'Add', remove: (r: string) => `Remove ${r}`, bad: 'A relay’s address looks like wss://market.example', standard: 'Use this daemon’s relay', wallet: 'Wallet', walletWhat: 'A wallet connection (NWC) lets this page pay your jobs, up to what the connection allows. Make one with a budget:', address: 'nostr+walletconnect://… or play+ws://…', connect: 'Connect', remember: 'Remember on this device', badWallet: 'This is no wallet address. It begins with nostr+walletconnect://', balance: 'Balance', disconnect: 'Disconnect', webln: 'Use the browser’s wallet (WebLN)', noWallet: 'Without one, invoices are shown as QR codes.',
    limits: 'Limits', budget: 'Budget for 24 hours (sat, 0 for none)', max: 'Usual maximum for one job (sat)', notify: 'Notifications', done: 'A job is done', failed: 'A job failed', offers: 'Offers arrive', budgetAlert: 'Budget nearly spent', node: 'A node of mine goes down or comes back', system: 'Also as system notifications while this page is in the background', blocked: 'Your browser blocks notifications for this page. Allow them in its site settings.', theme: 'Appearance', system_: 'As the system', light: 'Light', dark: 'Dark', data: 'Data on this device', dataWhat: 'What this page has seen is kept in this browser, so that it opens without a network.', erase: 'Erase it', erased: 'Erased.', install: 'Install as an app', about: 'About', distributed: 'Distributed Inference', distributedWhat: 'Splitting one model over several of your nodes is not served by this version’s daemon. Several nodes for one job: “Number of nodes” when you order.',
  },
  day: (d: Date) => d.toLocaleDateString('en', { day: 'numeric', month: 'short' }),
  // error says in people's words what went wrong, and what mends it.
  error(err: unknown): string {
    const text = String((err as Error)?.message ?? err);
    if (errors[text]) return errors[text];
    const [kind, ...rest] = text.split(':'), said = rest.join(':').slice(0, 200);
    if (kind === 'refused') return refusals[rest[0]] ? `${refusals[rest[0]]} It says: “${rest.slice(1).join(':').slice(0, 160).trim()}”` : `The node refused: ${said}`;
    if (kind === 'invoice') return `Nothing was paid: the node’s invoice is not what was agreed; ${said}. Choose another node.`;
    if (kind === 'result') return `The result does not hold: ${said}. Rate the node accordingly.`;
    if (kind === 'pay') return `The wallet did not pay: ${said}. Check its balance and budget, then try again.`;
    if (kind === 'node') return nodeErrors[rest[0]] ? nodeErrors[rest[0]] + (rest[1] ? ` It says: “${rest.slice(1).join(':').slice(0, 160).trim()}”` : '') : `The node says: ${said}`;
    if (kind === 'signer') return `The signer failed: ${said.replace(/^failed /, '')}`;
    if (kind === 'blocked' || kind === 'invalid' || kind === 'rate-limited' || kind === 'restricted' || kind === 'auth-required') return `The relay refused: ${said.trim() || kind}`;
    if (/no relay/.test(text)) return 'No relay answers. Check the network and the relays in the settings.';
    return text.slice(0, 240);
  },
};
