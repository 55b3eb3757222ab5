// How the figures of a peer in node are taken and told. `send` answers how many messages of its item were taken.
async function each(items, atOnce, send) {
  let next = 0, well = 0;
  const work = async () => {
    while (next < items.length) {
      const taken = await send(items[next++]);
      well += taken;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return well;
}

exports.measure = async (items, wanted, atOnce, send) => {
  await each(items.slice(0, Math.max(2 * atOnce, items.length / 10)), atOnce, send);  // connections are open then
  const began = process.hrtime.bigint(), used = process.cpuUsage();
  const well = await each(items, atOnce, send);
  const { user, system } = process.cpuUsage(used);
  const seconds = Number(process.hrtime.bigint() - began) / 1e9;
  if (well !== wanted) throw new Error(`${well} of ${wanted} were taken`);
  console.log(JSON.stringify({ cpu_us: (user + system) / wanted, per_s: wanted / seconds }));
};
