// Places are in the part behind #, so that the page works from any folder of any host.
class Place {
  path = $state('market');
  parts = $derived(this.path.split('?')[0].split('/'));
  query = $derived(new URLSearchParams(this.path.split('?')[1] ?? ''));

  constructor() {
    const read = () => { this.path = location.hash.replace(/^#\/?/, '') || 'market'; };
    read();
    addEventListener('hashchange', () => {
      read();
      document.getElementById('main')?.focus({ preventScroll: true });
      scrollTo(0, 0);
    });
  }
}

export const place = new Place();
export const go = (path: string) => { location.hash = '#/' + path.replace(/^#?\//, ''); };
